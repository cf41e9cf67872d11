// Loaded before an app (node --import): with each SIGUSR2 its clock jumps to the next of LAPSE_CHAOS_CLOCK, milliseconds
// from the right time with commas between them, and from the last one back to the first.
const offsets = (process.env.LAPSE_CHAOS_CLOCK ?? '0').split(',').map(Number)
const RealDate = Date
let step = 0

const now = (): number => RealDate.now() + (offsets[step] ?? 0)

process.on('SIGUSR2', () => {
  step = (step + 1) % offsets.length
})

// With SIGWINCH it lets go of what it does not need, so that what is left can be compared.
process.on('SIGWINCH', () => globalThis.gc?.())

globalThis.Date = new Proxy(RealDate, {
  get: (target, property) => (property === 'now' ? now : Reflect.get(target, property)),
  construct: (target, args, newTarget) => Reflect.construct(target, args.length > 0 ? args : [now()], newTarget),
  apply: () => new RealDate(now()).toString(),
})
RealDate.prototype.constructor = globalThis.Date
