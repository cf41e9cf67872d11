/** What a queue is called in Redis, and what its keys begin with. */
export interface Place {
  readonly name: string
  readonly prefix: string
}

const slots = 16_384

export const mostShards = 256

export const isShardCount = (count: number): boolean => Number.isInteger(count) && count >= 1 && count <= mostShards

/** As Redis Cluster counts it: CRC-16 of the XMODEM sort. */
const crc16 = (text: string): number => {
  let crc = 0
  for (const byte of Buffer.from(text)) {
    crc ^= byte << 8
    for (let bit = 0; bit < 8; bit++) crc = ((crc << 1) ^ (crc & 0x8000 ? 0x1021 : 0)) & 0xffff
  }
  return crc
}

/** The slot of all keys with this hash tag. */
export const slotOf = (tag: string): number => crc16(tag) % slots

/** Which of so many shards has a resource's timers: always the same. */
export const shardOf = (id: string, count: number): number => (count === 1 ? 0 : crc16(id) % count)

/**
 * The shards of the timers when there are so many. One is the queue as it has always been. Several have a hash tag each,
 * chosen so that the first lies in the first part of the slots, the second in the second: on as many masters, or a
 * divisor of that, each has its share.
 */
export const timerPlaces = (count: number, prefix: string, onCluster: boolean): Place[] =>
  count === 1
    ? [placeOf('timers', prefix, onCluster)]
    : Array.from({ length: count }, (_, i) => ({
        name: `timers-${i + 1}-of-${count}`,
        prefix: `${prefix}:{${tagOf(i, count)}}`,
      }))

/** All keys of a queue must lie in one slot of a cluster; a single server keeps the keys that it has. */
export const placeOf = (name: string, prefix: string, onCluster: boolean): Place => ({
  name,
  prefix: onCluster ? `${prefix}:{${name}}` : prefix,
})

/**
 * In the middle half of its part, for masters do not share the slots quite evenly. No two numbers of shards have a tag in
 * common, so that whatever stands beside a shard is its own.
 */
const tagOf = (i: number, count: number): string => {
  const part = slots / count
  for (let n = 0; ; n++) {
    const tag = `${count}.${n}`
    if (Math.abs(slotOf(tag) - (i + 0.5) * part) < part / 4) return tag
  }
}
