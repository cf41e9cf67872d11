// What a migration must not do while API and workers run: see docs/decisions/migrations.md.
import { statementsOf } from './sql-statements.mjs'

/** The last that was written before these rules: nothing had been released. */
const EXEMPT = '20261121180000_side_effects'

const NAME = String.raw`(?:"?\w+"?\.)?"?(\w+)"?`
const found = (pattern, text) => new RegExp(pattern, 'i').exec(text)?.[1]
const CONCURRENTLY = /^(CREATE( UNIQUE)?|DROP|RE) ?INDEX CONCURRENTLY\b/i

/**
 * The rules that a migration breaks, each with what to write instead.
 * @param migrations `{ name, sql }` of all that there are, in their order.
 */
export const brokenRules = (migrations) =>
  migrations.flatMap(({ name, sql }, i) => {
    if (name <= EXEMPT) return []
    const earlier = migrations.slice(0, i).map((one) => one.sql)
    return breaches(sql, earlier).map((breach) => ({ name, ...breach }))
  })

const breaches = (sql, earlier) => {
  const statements = statementsOf(sql)
  const made = new Set(statements.map(({ text }) => found(`^CREATE TABLE (?:IF NOT EXISTS )?${NAME}`, text)))
  const locked = new Set()
  const broken = []
  for (const { text, waived } of statements) {
    if (waived) continue
    const say = (rule) => broken.push({ statement: text.slice(0, 100), rule })
    if (CONCURRENTLY.test(text)) {
      if (statements.length > 1)
        say('What is done CONCURRENTLY stands alone in a migration: it runs in no transaction.')
      if (/ IF NOT EXISTS /i.test(text))
        say('IF NOT EXISTS takes a half-built index for a whole one: leave it out, deploy clears half-built ones away.')
    }
    for (const [pattern, rule] of FORBIDDEN) if (pattern.test(text)) say(rule)
    const indexed = found(`^CREATE (?:UNIQUE )?INDEX (?!CONCURRENTLY).*? ON (?:ONLY )?${NAME}`, text)
    if (indexed && !made.has(indexed))
      say(
        `This locks "${indexed}" against writes until it is built: CREATE INDEX CONCURRENTLY, in a migration of its own.`,
      )
    const altered = found(`^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?${NAME}`, text)
    if (!altered || made.has(altered)) continue
    locked.add(altered)
    if (locked.size === 2) say('A migration locks one table: the waits for several add up. Make it two migrations.')
    for (const action of actionsOf(text)) {
      const rule = ruleOfAction(action, { altered, statements, earlier })
      if (rule) say(rule)
    }
  }
  return broken
}

const FORBIDDEN = [
  [
    /^DROP INDEX (?!CONCURRENTLY)/i,
    'This waits with the table locked: DROP INDEX CONCURRENTLY, in a migration of its own.',
  ],
  [
    /^REINDEX (?!.*CONCURRENTLY)|^(CLUSTER|VACUUM|LOCK|TRUNCATE)\b/i,
    'This keeps everybody from the table until it is done.',
  ],
  [
    /^(UPDATE|DELETE|MERGE|INSERT)\b/i,
    'Rows are filled in by the code, in batches: this keeps all of them locked until its commit.',
  ],
  [
    /^(BEGIN|COMMIT|ROLLBACK|START TRANSACTION)\b/i,
    'A migration is one transaction already, unless it is one statement.',
  ],
  [
    /^(DROP TABLE|DROP TYPE|ALTER TYPE .* RENAME)\b/i,
    'Processes of the version before still use it: see "Taking away".',
  ],
]

const ruleOfAction = (action, { altered, statements, earlier }) => {
  if (/^ADD (CONSTRAINT|CHECK|FOREIGN KEY|UNIQUE|PRIMARY KEY|EXCLUDE)\b/i.test(action)) return ruleOfConstraint(action)
  if (/^VALIDATE CONSTRAINT\b/i.test(action))
    return (
      statements.some(({ text }) => /\bNOT VALID\b/i.test(text)) &&
      'VALIDATE comes in the next migration: in this one the table stays locked while all rows are read.'
    )
  if (/^ADD (COLUMN )?/i.test(action)) return ruleOfColumn(action)
  if (/^(DROP COLUMN|DROP (?!CONSTRAINT|EXPRESSION|IDENTITY)|RENAME)\b/i.test(action))
    return 'Processes of the version before still use it: see "Taking away".'
  if (/^ALTER .*\bTYPE\b/i.test(action))
    return 'This may write all rows anew: add a column, fill it in by the code, and take the old one away later.'
  const required = found(String.raw`^ALTER (?:COLUMN )?"?(\w+)"? SET NOT NULL`, action)
  if (required && !isProven(altered, required, earlier))
    return `This reads all rows with the table locked, unless an earlier migration has validated CHECK ("${required}" IS NOT NULL).`
  return undefined
}

const ruleOfConstraint = (action) => {
  if (/\bEXCLUDE\b/i.test(action)) return 'An exclusion is built with the table locked, and there is no other way.'
  if (/\b(UNIQUE|PRIMARY KEY)\b(?! USING INDEX)/i.test(action))
    return 'Build a unique index CONCURRENTLY first, then ADD CONSTRAINT … USING INDEX.'
  if (/\b(CHECK|FOREIGN KEY)\b/i.test(action) && !/\bNOT VALID\b/i.test(action))
    return 'This reads all rows with the table locked: NOT VALID, and VALIDATE CONSTRAINT in the next migration.'
  return undefined
}

const ruleOfColumn = (action) => {
  if (/\bNOT NULL\b/i.test(action) && !/\bDEFAULT\b/i.test(action))
    return 'Processes of the version before do not know the column: give it a DEFAULT, or let it be NULL.'
  if (
    /\bDEFAULT\b.*\(|\bGENERATED\b|\b(BIG|SMALL)?SERIAL\b/i.test(
      action.replace(/\b(VAR)?(CHAR|BIT|NUMERIC|TIMESTAMPTZ|TIMESTAMP|TIME)\s*\([\d, ]*\)/gi, ''),
    )
  )
    return 'A value that differs from row to row writes all rows anew: add the column without, and SET DEFAULT in a statement of its own.'
  if (/\b(REFERENCES|UNIQUE|PRIMARY KEY|CHECK)\b/i.test(action))
    return 'Give the column its constraint by ADD CONSTRAINT … NOT VALID.'
  return undefined
}

/** PostgreSQL believes a validated check, and reads nothing. */
const isProven = (table, column, earlier) => {
  const checks = earlier
    .flatMap(statementsOf)
    .map(({ text }) => text)
    .filter((text) => found(`^ALTER TABLE (?:ONLY )?${NAME}`, text) === table)
  const added = checks
    .map((text) => found(String.raw`ADD CONSTRAINT "?(\w+)"? CHECK \(+"?${column}"? IS NOT NULL`, text))
    .find(Boolean)
  return (
    added !== undefined &&
    checks.some((text) => new RegExp(String.raw`VALIDATE CONSTRAINT "?${added}\b`, 'i').test(text))
  )
}

/** The actions of an ALTER TABLE: what stands between commas outside of parentheses. */
const actionsOf = (text) => {
  const list = text.replace(new RegExp(`^ALTER TABLE (?:IF EXISTS )?(?:ONLY )?${NAME}\\s*`, 'i'), '')
  let depth = 0
  const actions = ['']
  for (const character of list) {
    if (character === '(') depth += 1
    if (character === ')') depth -= 1
    if (character === ',' && depth === 0) actions.push('')
    else actions[actions.length - 1] += character
  }
  return actions.map((action) => action.trim())
}
