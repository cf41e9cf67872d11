import { expect, it } from 'vitest'
import { HashedPassword } from '../src/index.ts'
import { isPassword } from '../src/products/password.ts'
import { tally } from './support.ts'

it('two passwords are worked on at a time, a hundred wait, and the others are told to come back; then all goes on', async () => {
  const flood = Array.from({ length: 200 }, () => HashedPassword.of('correct horse'))
  const outcomes = await Promise.allSettled(flood)
  expect(tally(outcomes.map((one) => (one.status === 'fulfilled' ? 'hashed' : one.reason.code)))).toEqual({
    hashed: 102,
    too_soon: 98,
  })
  const { hash } = await HashedPassword.of('correct horse')
  expect([await isPassword('correct horse', hash), await isPassword('Correct horse', hash)]).toEqual([true, false])
})

it('what is no hash of ours fails, and gives its turn on', async () => {
  for (let i = 0; i < 5; i++) await expect(isPassword('correct horse', 'not a hash')).rejects.toThrow()
  expect((await HashedPassword.of('correct horse')).hash).toMatch(/^\$argon2id\$v=19\$m=19456,t=2,p=1\$/)
})
