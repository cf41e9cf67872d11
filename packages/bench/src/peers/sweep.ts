import type { Peer } from './peer.ts'
import { connect, endDue, issueRows, newId } from './rows.ts'

/** A cron job in plain SQL: once a second, everything that is due, in one statement. There is nothing to arm. */
export const sweep: Peer = {
  issuer: async (place) => {
    const pool = connect(place)
    return {
      one: (at) => pool.query(issueRows([newId()], [at])),
      many: (at) => pool.query(issueRows(at.map(newId), at)),
      close: () => pool.end(),
    }
  },
  work: async (place) => {
    const pool = connect(place, 1)
    let sweeping = Promise.resolve<unknown>(undefined)
    let busy = false
    const timer = setInterval(() => {
      if (busy) return
      busy = true
      sweeping = pool.query(endDue).finally(() => {
        busy = false
      })
    }, 1_000)
    return async () => {
      clearInterval(timer)
      await sweeping
      await pool.end()
    }
  },
}
