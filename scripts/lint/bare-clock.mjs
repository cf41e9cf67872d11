const clocks =
  /(?<![.\w])(?:clock_timestamp\(\)|statement_timestamp\(\)|transaction_timestamp\(\)|now\(\)|current_timestamp\b|localtimestamp\b)/gi
/** Cut to what its column keeps, compared, subtracted, or read as an epoch. */
const isRead = /(?:date_trunc\('(?:milli|micro)seconds',|extract\(epoch from|[<>]=?|[-+])\s*$/i
/** Moved by an interval: clearly before or after. */
const isMoved = /^\s*[-+]/
const comment = /(?:^|[^:])\/\/|^\s*\/?\*|^\s*--/
/** A file with a function of this name means that one. */
const ownNow = /\b(?:const|let) \{?[^=\n]*\bnow\b[^\n]*[=]|\bnow(?:\(\))?: |#now\b/
const boundDate = /[`'"],\s*\[[^\][]*\bnew Date\(\)/g

/**
 * The places in a file where SQL takes the clock as it is, or binds the application's. `timestamptz(3)` rounds: what is
 * written as `clock_timestamp()` may lie half a millisecond ahead, and is not due in the next statement.
 * @returns {string[]} each as `line: text`.
 */
export const bareClocks = (text) => {
  const lineAt = (index) => text.slice(0, index).split('\n').length
  const lineText = (index) => text.split('\n')[lineAt(index) - 1] ?? ''
  const found = []
  for (const match of text.matchAll(clocks)) {
    const { index, 0: clock } = match
    if (clock === 'now()' && ownNow.test(text)) continue
    const before = text.slice(0, index)
    const upToHere = before.slice(before.lastIndexOf('\n') + 1)
    if (isRead.test(before) || isMoved.test(text.slice(index + clock.length)) || comment.test(upToHere)) continue
    found.push(`${lineAt(index)}: ${lineText(index).trim()}`)
  }
  for (const { index } of text.matchAll(boundDate)) found.push(`${lineAt(index)}: ${lineText(index).trim()}`)
  return found
}
