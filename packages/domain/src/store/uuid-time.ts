/** The least UUIDv7 of an instant. */
export const leastId = (at: Date): string => {
  const time = Math.min(Math.max(0, at.getTime()), 2 ** 48 - 1)
  const hex = time.toString(16).padStart(12, '0')
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`
}
