import { defineConfig } from 'prisma/config'

export default defineConfig({
  schema: 'prisma/schema',
  migrations: { path: 'prisma/migrations' },
  // `prisma generate` reads no database; `prisma migrate` needs the real address.
  datasource: { url: process.env.DATABASE_URL ?? 'postgresql://localhost:5432/lapse' },
})
