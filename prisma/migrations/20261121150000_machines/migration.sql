-- AlterEnum
ALTER TYPE "lapse_status" ADD VALUE 'scheduled';

-- AlterTable
-- In two steps: a default that differs from row to row would rewrite the whole table.
ALTER TABLE "event" ADD COLUMN     "tx" xid8;
ALTER TABLE "event" ALTER COLUMN "tx" SET DEFAULT pg_current_xact_id();

-- AlterTable
ALTER TABLE "resource" ADD COLUMN     "last_used_at" TIMESTAMPTZ(3),
ADD COLUMN     "latest_at" TIMESTAMPTZ(3),
ADD COLUMN     "max_uses_each" INTEGER,
ADD COLUMN     "password" TEXT,
ADD COLUMN     "starts_at" TIMESTAMPTZ(3),
ADD COLUMN     "successor_id" UUID;

-- CreateTable
CREATE TABLE "redemption" (
    "resource_id" UUID NOT NULL,
    "holder" TEXT NOT NULL,
    "uses" INTEGER NOT NULL,
    "first_at" TIMESTAMPTZ(3) NOT NULL,
    "last_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "redemption_pkey" PRIMARY KEY ("resource_id","holder")
);

-- AddForeignKey
ALTER TABLE "redemption" ADD CONSTRAINT "redemption_resource_id_fkey" FOREIGN KEY ("resource_id") REFERENCES "resource"("id") ON DELETE CASCADE ON UPDATE RESTRICT;

-- Below: what Prisma's schema language cannot say.

ALTER TABLE "resource"
  DROP CONSTRAINT "resource_stored_status",
  -- As text: a value that was added to a type cannot be used before the commit.
  ADD CONSTRAINT "resource_stored_status" CHECK ("status"::text NOT IN ('suspended', 'scheduled')),
  ADD CONSTRAINT "resource_uses_each" CHECK ("max_uses_each" >= 1);
ALTER TABLE "redemption" ADD CONSTRAINT "redemption_uses" CHECK ("uses" >= 1);

-- Whether somebody has access, and who has; and what changed about that, in an order that is complete.
CREATE INDEX "resource_grant" ON "resource" ("scope", "subject", ("payload" ->> 'relation'))
  WHERE "kind" = 'access-grant' AND "status" IN ('active', 'grace');
CREATE INDEX "resource_grant_subject" ON "resource" ("subject", "scope", ("payload" ->> 'relation'))
  WHERE "kind" = 'access-grant' AND "status" IN ('active', 'grace');
CREATE INDEX "event_grant" ON "event" ("tx", "id") WHERE "kind" = 'access-grant';
