import { alertNames, type Alert as LapseAlert } from 'lapse'
import { z } from 'zod'

const moment = z.string().meta({ format: 'date-time' })

export const Alert = z
  .object({
    name: z.enum(alertNames),
    raised: z.boolean(),
    raised_at: moment.nullable().describe('When it last was; `null`: never.'),
    cleared_at: moment.nullable().describe('`null` while it lasts.'),
    detail: z.string().nullable().describe('What was last found.'),
    value: z.number().nullable().describe('How bad it is: a number, or seconds.'),
    advice: z.string().describe('What to do about it.'),
  })
  .meta({
    id: 'Alert',
    description: 'Something that an operator should look at.',
    examples: [
      {
        name: 'dead-deliveries',
        raised: true,
        raised_at: '2026-12-01T10:00:00.000Z',
        cleared_at: null,
        detail: '3 deliveries have given up within the last hour.',
        value: 3,
        advice: '"lapse deliveries list --status dead" says which and why.',
      },
    ],
  })

export const alertOut = ({ name, raised, raisedAt, clearedAt, detail, value, advice }: LapseAlert) => ({
  name,
  raised,
  raised_at: raisedAt?.toISOString() ?? null,
  cleared_at: clearedAt?.toISOString() ?? null,
  detail,
  value,
  advice,
})
