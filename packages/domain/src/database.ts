import { PrismaPg } from '@prisma/adapter-pg'
import { asCaller, type Lane } from './caller.ts'
import { LapseError } from './errors.ts'
import { type Prisma, PrismaClient } from './generated/prisma/client.ts'
import { LockQueue } from './lock-queue.ts'
import { oneConnection } from './one-connection.ts'
import { SharedPool } from './pool.ts'
import type { DomainReport } from './report.ts'
import { sessionOptions } from './session-settings.ts'

/** Whatever can run a statement: the database, or a transaction on it. */
export interface Sql {
  $queryRaw<T>(query: Prisma.Sql): Promise<T>
  $executeRaw(query: Prisma.Sql): Promise<number>
}

export interface DatabaseOptions {
  /** `postgresql://…`; `?schema=` names the schema Lapse lives in, as Prisma has it; `public` without. */
  url: string
  /** Connections in the pool; 10 unless said otherwise. */
  connections?: number
  /** How long a statement waits for a lock; 1,500 ms unless said otherwise. */
  lockTimeoutMs?: number
  /** Shown in pg_stat_activity. */
  name?: string
  /** Where errors are counted that are survived. */
  report?: DomainReport | undefined
}

export interface Database extends Sql {
  /** How many the pool has. */
  readonly connections: number
  /** Runs statements that commit together, or not at all, within 15 seconds unless said otherwise. Hooks get the same transaction. */
  transaction<T>(act: (tx: Prisma.TransactionClient) => Promise<T>, timeoutMs?: number): Promise<T>
  readonly report: DomainReport
  /** The same database, by the connections of this lane. */
  on(lane: Lane): Database
  /** Who in this process waits for which row. */
  readonly locks: LockQueue
  close(): Promise<void>
}

/** How long a transaction may take, unless it says otherwise. */
export const transactionMs = 15_000

/**
 * Opens one pool, shared by everything in the process and divided as `Shares` says. It connects when first used.
 *
 * A statement of its own goes straight to the pool, which costs a quarter of what it costs through Prisma; what has to
 * commit together is a Prisma transaction on the same pool. Both prepare a statement once a connection, by its text.
 *
 * Every session begins with the settings that statements rely on: see `sessionOptions`.
 */
export const openDatabase = ({
  url,
  connections = 10,
  name = 'lapse',
  report = () => {},
  lockTimeoutMs,
}: DatabaseOptions): Database => {
  const address = new URL(url)
  const schema = address.searchParams.get('schema') ?? 'public'
  const own = address.searchParams.get('options') ?? ''
  address.searchParams.delete('schema')
  address.searchParams.delete('options')
  // Whoever names a path in the URL means it.
  const searchPath = own.includes('search_path') ? undefined : schema === 'public' ? 'public' : `${schema},public`
  const pool = new SharedPool({
    connectionString: address.href,
    options: `${own} ${sessionOptions(searchPath, lockTimeoutMs)}`.trim(),
    max: connections,
    application_name: name,
    statement_timeout: 15_000,
    // A server that vanished without a word would keep its connections, and with them the pool, for a quarter of an hour.
    query_timeout: 17_000,
    idle_in_transaction_session_timeout: 30_000,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
  })
  // An idle connection that breaks is replaced by the pool; without a listener it would end the process.
  pool.on('error', (error) => report(error, 'postgres-connection'))
  const nameOf = statementNames()
  const adapter = new PrismaPg(pool, { schema, statementNameGenerator: ({ sql }) => nameOf(sql) })
  const prisma = new PrismaClient({ adapter })
  const connection = oneConnection()
  const run = ({ text, values }: Prisma.Sql) => {
    connection.mustHoldNone()
    return pool.query({ name: nameOf(text), text, values: values as unknown[] }).catch(withoutRow)
  }
  const work: Omit<Database, 'on'> = {
    connections,
    $queryRaw: async <T>(query: Prisma.Sql) => (await run(query)).rows as T,
    $executeRaw: async (query) => (await run(query)).rowCount ?? 0,
    transaction: async (act, timeout = transactionMs) => {
      connection.mustHoldNone()
      const body = (tx: Prisma.TransactionClient) => connection.hold(() => act(tx))
      // Longer than a connection is waited for, or it would come when nobody takes it.
      return prisma.$transaction(body, { maxWait: 16_000, timeout }).catch(withoutRow)
    },
    locks: new LockQueue(),
    report,
    close: async () => {
      await prisma.$disconnect()
      await pool.end()
    },
  }
  const on = (lane: Lane): Database => ({
    ...work,
    $queryRaw: (query) => asCaller({ lane }, () => work.$queryRaw(query)),
    $executeRaw: (query) => asCaller({ lane }, () => work.$executeRaw(query)),
    transaction: (act, timeoutMs) => asCaller({ lane }, () => work.transaction(act, timeoutMs)),
    on,
  })
  return { ...work, on }
}

/**
 * "Failing row contains …": what users have entrusted to us does not belong into a log. It stands in the driver's errors,
 * and in those inside of the adapter's and of Prisma's.
 */
const withoutRow = (error: unknown): never => {
  const { meta, cause } = (error ?? {}) as { meta?: { driverAdapterError?: Error }; cause?: object }
  const inner = meta?.driverAdapterError?.cause ?? cause
  for (const one of [error, inner] as { detail?: string; severity?: string }[]) if (one?.severity) delete one.detail
  throw error
}

/** The same name for the same text. */
const statementNames = () => {
  const names = new Map<string, string>()
  return (text: string): string => {
    const known = names.get(text)
    // A hook may build statements from values: past a bound they stay unnamed, so that no session fills up.
    if (known !== undefined || names.size >= 500) return known ?? ''
    const fresh = `lapse_${names.size}`
    names.set(text, fresh)
    return fresh
  }
}

/** Errors of the driver, of Prisma's transactions and of PostgreSQL that pass by themselves. */
const passing = /DatabaseNotReachable|ConnectionClosed|TransactionWriteConflict|TooManyConnections|SocketTimeout/
const passingCodes = new Set(['P1001', 'P1002', 'P1008', 'P1017', 'P2024', 'P2028', 'P2034', 'P2037'])
/** Connection, resources, shutdown, lock and statement timeouts, deadlock. */
const passingStates = /^(08...|53...|57P0[1-3]|57014|55P03|40P01|40001|25006)$/

/** A value that does not fit, a constraint, a limit: what PostgreSQL says of a row, and not of the statement. */
const refusingStates = /^(22...|23...|54...)$/

/** Whether PostgreSQL cannot be asked right now, so that the same request may succeed later. */
export const isUnavailable = (error: unknown): boolean => {
  if (!(error instanceof Error)) return false
  if (error instanceof LapseError) return error.code === 'busy'
  const { code = '', kind, state } = factsOf(error)
  if (passingCodes.has(code) || passing.test(kind) || passingStates.test(state)) return true
  // The pool and the socket have no codes of their own.
  return /connection (terminated|error|timeout)|timeout exceeded when trying to connect|not queryable|ECONN|EPIPE/i.test(
    error.message,
  )
}

/** Whether PostgreSQL refused what it was given, so that the same request would be refused again. */
export const isRefusal = (error: unknown): error is Error =>
  error instanceof Error && refusingStates.test(factsOf(error).state)

interface AdapterCause {
  readonly kind?: string
  readonly originalCode?: string
}

/** Errors come from the driver, from Prisma's client around its adapter, or, at a commit, from the adapter itself. */
const factsOf = (error: Error): { code: string | undefined; kind: string; state: string } => {
  const { code, meta, cause } = error as {
    code?: string
    meta?: { driverAdapterError?: { cause?: AdapterCause } }
    cause?: AdapterCause
  }
  const { kind = '', originalCode } = meta?.driverAdapterError?.cause ?? cause ?? {}
  return { code, kind, state: originalCode ?? code ?? '' }
}
