/** Where a measurement happens, in words that another process understands. */
export interface Place {
  readonly databaseUrl: string
  readonly redisUrl: string
  readonly prefix: string
}

/** Issues resources: each with its row, its event, and whatever will end it at its instant. */
export interface Issuer {
  one(at: Date): Promise<unknown>
  /** Up to 1,000, in the best way there is. */
  many(at: readonly Date[]): Promise<unknown>
  close(): Promise<unknown>
}

/** What one would build with, instead of Lapse. */
export interface Peer {
  /** Only this share of a burst is measured, and its time multiplied: it takes as long for each as for the one before. */
  readonly share?: number
  /** Its own tables are there afterwards. */
  issuer(place: Place): Promise<Issuer>
  /** Ends what is due, until what it answers is called. It runs in a process of its own. */
  work(place: Place): Promise<() => Promise<unknown>>
}
