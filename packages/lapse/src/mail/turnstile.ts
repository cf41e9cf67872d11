/** Lets in so many at once; whoever is in leaves when their promise resolves. */
export const turnstile = (places: number): ((until: Promise<void>) => Promise<void>) => {
  let free = places
  const waiting: (() => void)[] = []
  const leave = () => {
    const next = waiting.shift()
    if (next) next()
    else free++
  }
  return async (until) => {
    if (free > 0) free--
    else await new Promise<void>((enter) => waiting.push(enter))
    void until.then(leave)
  }
}
