import { z } from 'zod'
import { permit } from '../http/access.ts'
import { problems } from '../http/problem.ts'
import { Alert, alertOut } from '../wire/alert.ts'
import { type App, answer, type Context, operation } from './route.ts'

/** What the processes have found to be wrong with Lapse itself. */
export const alertRoutes = (app: App, { lapse }: Context): void => {
  app.get(
    '/v1/alerts',
    {
      ...permit('deliveries', 'read'),
      schema: {
        ...operation(
          'deliveries',
          'listAlerts',
          'List alerts',
          'All there are, raised or not, as the workers and the API have last found them.',
        ),
        querystring: z.strictObject({}),
        response: { 200: answer('All of them.', z.object({ items: z.array(Alert) })), ...problems() },
      },
    },
    async () => ({ items: (await lapse.alerts.list()).map(alertOut) }),
  )
}
