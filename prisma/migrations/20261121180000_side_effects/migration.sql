-- CreateEnum
CREATE TYPE "lapse_webhook_endpoint_status" AS ENUM ('enabled', 'disabled');

-- AlterEnum
ALTER TYPE "lapse_channel" ADD VALUE 'call';

-- AlterTable
ALTER TABLE "delivery" ADD COLUMN     "notice" JSONB,
ADD COLUMN     "tries" INTEGER NOT NULL DEFAULT 0,
ALTER COLUMN "resource_id" DROP NOT NULL,
ALTER COLUMN "event_id" DROP NOT NULL;

-- AlterTable
ALTER TABLE "delivery_attempt" ADD COLUMN     "answer" TEXT,
ADD COLUMN     "code" INTEGER,
ADD COLUMN     "next_at" TIMESTAMPTZ(3);

-- AlterTable
ALTER TABLE "resource" ADD COLUMN     "enclosed" BYTEA;

-- CreateTable
CREATE TABLE "mail_suppression" (
    "id" UUID NOT NULL DEFAULT lapse_uuidv7(),
    "address" TEXT NOT NULL,
    "spelled" TEXT NOT NULL,
    "reason" TEXT NOT NULL,
    "detail" TEXT,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "mail_suppression_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "alert" (
    "name" TEXT NOT NULL,
    "raised_at" TIMESTAMPTZ(3) NOT NULL,
    "seen_at" TIMESTAMPTZ(3) NOT NULL,
    "told_at" TIMESTAMPTZ(3) NOT NULL,
    "cleared_at" TIMESTAMPTZ(3),
    "detail" TEXT NOT NULL,
    "value" DOUBLE PRECISION NOT NULL,

    CONSTRAINT "alert_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "pulse" (
    "name" TEXT NOT NULL,
    "at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "pulse_pkey" PRIMARY KEY ("name")
);

-- CreateTable
CREATE TABLE "webhook_endpoint" (
    "id" UUID NOT NULL,
    "organization_id" UUID,
    "url" TEXT NOT NULL,
    "description" TEXT,
    "kinds" TEXT[],
    "events" TEXT[],
    "header_names" TEXT[],
    "status" "lapse_webhook_endpoint_status" NOT NULL DEFAULT 'enabled',
    "sealed" BYTEA NOT NULL,
    "previous_until" TIMESTAMPTZ(3),
    "contact" TEXT,
    "failing_since" TIMESTAMPTZ(3),
    "disabled_at" TIMESTAMPTZ(3),
    "disabled_reason" TEXT,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "webhook_endpoint_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "delivery_target_id_idx" ON "delivery"("target", "id");

-- CreateIndex
CREATE INDEX "mail_suppression_spelled_idx" ON "mail_suppression"("spelled");

-- CreateIndex
CREATE UNIQUE INDEX "mail_suppression_address_reason_key" ON "mail_suppression"("address", "reason");

-- CreateIndex
CREATE INDEX "webhook_endpoint_organization_id_idx" ON "webhook_endpoint"("organization_id");

-- AddForeignKey
ALTER TABLE "webhook_endpoint" ADD CONSTRAINT "webhook_endpoint_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "directory_organization"("id") ON DELETE RESTRICT ON UPDATE RESTRICT;

-- Below: what Prisma's schema language cannot say.

-- A delivery tells of something that happened to a resource, or is a notice.
ALTER TABLE "delivery"
  ADD CONSTRAINT "delivery_about" CHECK (CASE WHEN "notice" IS NULL THEN "resource_id" IS NOT NULL AND "event_id" IS NOT NULL
    ELSE "resource_id" IS NULL AND "event_id" IS NULL END);
ALTER TABLE "webhook_endpoint"
  ADD CONSTRAINT "webhook_endpoint_disabled" CHECK (("status" = 'disabled') = ("disabled_at" IS NOT NULL));
ALTER TABLE "mail_suppression"
  ADD CONSTRAINT "mail_suppression_reason" CHECK ("reason" IN ('unsubscribed', 'bounced'));

CREATE INDEX "webhook_endpoint_enabled" ON "webhook_endpoint" ("id") WHERE "status" = 'enabled';
-- What the sweep had to do although a timer should have fired: what the queue has lost.
CREATE INDEX "event_swept" ON "event" ("at") WHERE "trigger" = 'sweep' AND "lateness_ms" > 1000 AND "type" <> 'purged';
-- Whatever is replayed, an endpoint has one delivery for each event.
CREATE UNIQUE INDEX "delivery_webhook" ON "delivery" ("event_id", "target") WHERE "channel" = 'webhook';
-- What happened in a span of time: events are appended in the order of time, so that a few pages of it tell where.
CREATE INDEX "event_at" ON "event" USING BRIN ("at");
-- What has given up lately: see the alerts.
CREATE INDEX "delivery_dead_settled" ON "delivery" ("settled_at") WHERE "status" = 'dead';
-- Notices go a while after they were settled; everything else goes with its resource.
CREATE INDEX "delivery_notice_settled" ON "delivery" ("settled_at") WHERE "resource_id" IS NULL;
