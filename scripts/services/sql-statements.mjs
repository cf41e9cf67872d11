/** A comment; a quoted text, name or function body; the end of a statement; or anything else. */
const PART = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:[^']|'')*'|"(?:[^"]|"")*"|(\$\w*\$)[\s\S]*?\1|;|[^-/'"$;]+|[\s\S]/g

/**
 * The statements of a script: on one line, without comments and without what is quoted but names. One under a comment
 * `-- safe because …` is waived from the rules.
 */
export const statementsOf = (sql) => {
  const statements = []
  let text = ''
  let waived = false
  const end = () => {
    const line = text.replace(/\s+/g, ' ').trim()
    if (line) statements.push({ text: line, waived })
    text = ''
    waived = false
  }
  for (const [part] of sql.matchAll(PART)) {
    if (part === ';') end()
    else if (part.startsWith('--') || part.startsWith('/*')) waived ||= /^--\s*safe because \S/i.test(part)
    else if (part.startsWith("'") || /^\$\w*\$/.test(part)) text += "''"
    else text += part
  }
  end()
  return statements
}
