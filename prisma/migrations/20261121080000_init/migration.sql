-- Ids in the order of their making (UUIDv7, RFC 9562), which keeps new rows together; PostgreSQL has its own from 18 on.
CREATE FUNCTION "lapse_uuidv7"() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid()) PLACING
    substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3) FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid
$$;

-- CreateEnum
CREATE TYPE "lapse_channel" AS ENUM ('email', 'webhook', 'handler');

-- CreateEnum
CREATE TYPE "lapse_delivery_status" AS ENUM ('pending', 'sent', 'failed', 'dead', 'cancelled');

-- CreateEnum
CREATE TYPE "lapse_trigger" AS ENUM ('job', 'lazy', 'sweep', 'manual', 'cascade');

-- CreateEnum
CREATE TYPE "lapse_status" AS ENUM ('active', 'grace', 'expired', 'revoked', 'consumed');

-- CreateEnum
CREATE TYPE "lapse_step" AS ENUM ('remind', 'expire', 'end-grace', 'purge');

-- CreateTable
CREATE TABLE "delivery" (
    "id" UUID NOT NULL DEFAULT lapse_uuidv7(),
    "resource_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "event" TEXT NOT NULL,
    "event_id" BIGINT NOT NULL,
    "channel" "lapse_channel" NOT NULL,
    "target" TEXT NOT NULL,
    "status" "lapse_delivery_status" NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "round" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3),
    "leased_until" TIMESTAMPTZ(3),
    "last_error" TEXT,
    "sealed" BYTEA,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "settled_at" TIMESTAMPTZ(3),

    CONSTRAINT "delivery_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "delivery_attempt" (
    "delivery_id" UUID NOT NULL,
    "number" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "duration_ms" INTEGER,
    "status" TEXT NOT NULL DEFAULT 'started',
    "error" TEXT,

    CONSTRAINT "delivery_attempt_pkey" PRIMARY KEY ("delivery_id","number")
);

-- CreateTable
CREATE TABLE "event" (
    "id" BIGSERIAL NOT NULL,
    "resource_id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "version" INTEGER NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,
    "from_status" "lapse_status",
    "to_status" "lapse_status",
    "trigger" "lapse_trigger" NOT NULL,
    "lateness_ms" BIGINT,
    "actor" TEXT,
    "reason" TEXT,
    "data" JSONB,

    CONSTRAINT "event_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_key" (
    "owner" TEXT NOT NULL,
    "key" TEXT NOT NULL,
    "fingerprint" TEXT NOT NULL,
    "answer" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "idempotency_key_pkey" PRIMARY KEY ("owner","key")
);

-- CreateTable
CREATE TABLE "resource" (
    "id" UUID NOT NULL,
    "kind" TEXT NOT NULL,
    "reference" TEXT,
    "scope" TEXT,
    "subject" TEXT,
    "payload" JSONB NOT NULL DEFAULT '{}',
    "contact" TEXT,
    "status" "lapse_status" NOT NULL DEFAULT 'active',
    "version" INTEGER NOT NULL DEFAULT 1,
    "uses" INTEGER NOT NULL DEFAULT 0,
    "max_uses" INTEGER,
    "issued_at" TIMESTAMPTZ(3) NOT NULL,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "ends_at" TIMESTAMPTZ(3) NOT NULL,
    "ended_at" TIMESTAMPTZ(3),
    "reminders" INTEGER[],
    "due_at" TIMESTAMPTZ(3),
    "next_step" "lapse_step",
    "failures" INTEGER NOT NULL DEFAULT 0,
    "changed_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "resource_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "delivery_resource_id_version_event_channel_target_key" ON "delivery"("resource_id", "version", "event", "channel", "target");

-- CreateIndex
CREATE INDEX "event_resource_id_id_idx" ON "event"("resource_id", "id");

-- CreateIndex
CREATE INDEX "idempotency_key_created_at_idx" ON "idempotency_key"("created_at");

-- CreateIndex
CREATE INDEX "resource_kind_id_idx" ON "resource"("kind", "id");

-- AddForeignKey
ALTER TABLE "delivery" ADD CONSTRAINT "delivery_resource_id_fkey" FOREIGN KEY ("resource_id") REFERENCES "resource"("id") ON DELETE CASCADE ON UPDATE RESTRICT;

-- AddForeignKey
ALTER TABLE "delivery_attempt" ADD CONSTRAINT "delivery_attempt_delivery_id_fkey" FOREIGN KEY ("delivery_id") REFERENCES "delivery"("id") ON DELETE CASCADE ON UPDATE RESTRICT;

-- Below: what Prisma's schema language cannot say. `npm run migrate check` ignores it; tests in packages/domain hold it.

-- A status and its instants always tell the same story.
ALTER TABLE "resource"
  ADD CONSTRAINT "resource_version" CHECK ("version" >= 1),
  ADD CONSTRAINT "resource_uses" CHECK ("uses" >= 0 AND ("max_uses" IS NULL OR ("max_uses" >= 1 AND "uses" <= "max_uses"))),
  ADD CONSTRAINT "resource_instants" CHECK ("issued_at" <= "expires_at" AND "expires_at" <= "ends_at"),
  ADD CONSTRAINT "resource_ended" CHECK (("status" IN ('active', 'grace')) = ("ended_at" IS NULL)),
  ADD CONSTRAINT "resource_due" CHECK (("due_at" IS NULL) = ("next_step" IS NULL)),
  ADD CONSTRAINT "resource_step" CHECK (CASE "status"
    WHEN 'active' THEN "next_step" IS NOT NULL AND "next_step" IN ('remind', 'expire')
    WHEN 'grace' THEN "next_step" IS NOT NULL AND "next_step" = 'end-grace'
    ELSE "next_step" IS NULL OR "next_step" = 'purge' END);

ALTER TABLE "delivery"
  ADD CONSTRAINT "delivery_settled" CHECK (("status" IN ('pending', 'failed')) = ("settled_at" IS NULL)),
  ADD CONSTRAINT "delivery_next" CHECK (("status" IN ('pending', 'failed')) = ("next_attempt_at" IS NOT NULL)),
  ADD CONSTRAINT "delivery_sealed" CHECK ("sealed" IS NULL OR "status" IN ('pending', 'failed', 'dead'));

-- One index on the next due instant; what only waits to be purged stays out of its way.
CREATE INDEX "resource_due" ON "resource" ("due_at", "id") WHERE "next_step" <> 'purge';
CREATE INDEX "resource_purge" ON "resource" ("due_at") WHERE "next_step" = 'purge';
-- At most one live resource of a kind has a reference.
CREATE UNIQUE INDEX "resource_reference_live" ON "resource" ("kind", "reference") WHERE "reference" IS NOT NULL AND "status" IN ('active', 'grace');
CREATE INDEX "resource_reference" ON "resource" ("reference", "id") WHERE "reference" IS NOT NULL;
CREATE INDEX "resource_scope" ON "resource" ("scope", "id") WHERE "scope" IS NOT NULL;
CREATE INDEX "resource_subject" ON "resource" ("subject", "id") WHERE "subject" IS NOT NULL;

-- At most one end for each resource, whatever the code above it does.
CREATE UNIQUE INDEX "event_end" ON "event" ("resource_id") WHERE "type" IN ('expired', 'revoked', 'consumed');

CREATE INDEX "delivery_due" ON "delivery" ("channel", "next_attempt_at") WHERE "status" IN ('pending', 'failed');
CREATE INDEX "delivery_dead" ON "delivery" ("id") WHERE "status" = 'dead';

-- Events are append-only for everybody: there is no statement by which a role, the owner included, changes them by accident.
CREATE FUNCTION "lapse_append_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'events are append-only: % on "event" refused', TG_OP USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER "event_append_only" BEFORE UPDATE OR DELETE OR TRUNCATE ON "event"
  FOR EACH STATEMENT EXECUTE FUNCTION "lapse_append_only"();

-- What the application's role may do: everything but change the audit or the schema. Run by the owner after migrations.
CREATE FUNCTION "lapse_grant"(role name) RETURNS void LANGUAGE plpgsql AS $$
DECLARE here text := current_schema();
BEGIN
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', here, role);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO %I', here, role);
  EXECUTE format('GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA %I TO %I', here, role);
  EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %I."event" FROM %I', here, role);
  EXECUTE format('REVOKE INSERT, UPDATE, DELETE, TRUNCATE ON %I."_prisma_migrations" FROM %I', here, role);
END $$;
REVOKE ALL ON FUNCTION "lapse_grant"(name) FROM PUBLIC;
