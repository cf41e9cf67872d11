// Loaded before an app (node --import): its clock runs LAPSE_TEST_CLOCK_OFFSET_MS ahead.
const offset = Number(process.env.LAPSE_TEST_CLOCK_OFFSET_MS)
const RealDate = Date
const now = () => RealDate.now() + offset

globalThis.Date = new Proxy(RealDate, {
  get: (target, property) => (property === 'now' ? now : Reflect.get(target, property)),
  construct: (target, args, newTarget) => Reflect.construct(target, args.length ? args : [now()], newTarget),
  apply: () => new RealDate(now()).toString(),
})
RealDate.prototype.constructor = globalThis.Date
