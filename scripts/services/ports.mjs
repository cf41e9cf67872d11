import { readFileSync, writeFileSync } from 'node:fs'
import { freePort } from './network.mjs'

/** What is remembered: which port took the place of which, by name. A file that cannot be read is written anew. */
const remembered = (file) => {
  try {
    const ports = JSON.parse(readFileSync(file, 'utf8'))
    return typeof ports === 'object' && ports !== null ? ports : {}
  } catch {
    return {}
  }
}

const isPort = (port) => Number.isInteger(port) && port > 0 && port < 65_536

/**
 * Chooses ports that outlive a restart. Links in mails that were sent name the port, so a replacement for one that was taken
 * is written to `file` and used again as long as it is free. `say` is called with what differs from what was asked for.
 */
export const lastingPorts = (file, say) => async (name, preferred, host) => {
  if (preferred === 0) return freePort(0, host)
  const known = remembered(file)
  const key = `${name}:${preferred}`
  const before = isPort(known[key]) ? known[key] : preferred
  let port = await freePort(before, host)
  // What took its place is taken as well: the first choice may be free again.
  if (port !== before && before !== preferred) port = await freePort(preferred, host)
  if (port !== known[key] && (port !== preferred || key in known)) {
    const { [key]: _, ...others } = known
    writeFileSync(file, `${JSON.stringify(port === preferred ? others : { ...others, [key]: port }, undefined, 2)}\n`)
  }
  if (port !== preferred)
    say(
      `${name}: port ${port} in place of ${preferred}, which was taken; after a restart too, until ${file} is removed`,
    )
  return port
}
