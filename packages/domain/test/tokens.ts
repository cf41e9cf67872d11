/** What tokens are made of, worked out once more: the tests do not take the code's word for it. */

export const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** CRC-32 as IEEE 802.3 has it, bit by bit. */
const crc32 = (text: string): number => {
  let crc = 0xffffffff
  for (const byte of Buffer.from(text)) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0)
  }
  return (crc ^ 0xffffffff) >>> 0
}

const inBase62 = (value: number, length: number): string =>
  length === 0 ? '' : inBase62(Math.floor(value / 62), length - 1) + base62[value % 62]

export const checksum = (body: string): string => inBase62(crc32(body), 6)

/** The half by which `token` is found before the half that proves `other`, with a checksum that is right. */
export const mixed = (token: string, other: string): string => {
  const body = token.slice(0, -49) + other.slice(-49, -6)
  return body + checksum(body)
}

/** The half of it that nobody else may know. */
export const provingHalf = (token: string): string => token.slice(-49, -6)
