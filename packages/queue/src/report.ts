/** Where this package survives errors: the values of a metric's label. */
export const queueErrorPlaces = ['alarm', 'divisions', 'restore-lease', 'stored-value', 'dismiss', 'close'] as const
export type QueueErrorPlace = (typeof queueErrorPlaces)[number]

/** Counts an error that nothing else tells of. Must not throw. */
export type QueueReport = (error: unknown, where: QueueErrorPlace) => void
