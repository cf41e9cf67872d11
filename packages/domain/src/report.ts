/** Where this package survives errors: the values of a metric's label. */
export const domainErrorPlaces = ['postgres-connection', 'lapse', 'token-touch'] as const
export type DomainErrorPlace = (typeof domainErrorPlaces)[number]

/** Counts an error that nothing else tells of. Must not throw. */
export type DomainReport = (error: unknown, where: DomainErrorPlace) => void
