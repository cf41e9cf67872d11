-- CreateEnum
CREATE TYPE "lapse_organization_status" AS ENUM ('active', 'suspended', 'deleted');

-- CreateEnum
CREATE TYPE "lapse_role" AS ENUM ('member', 'admin', 'owner');

-- AlterEnum
ALTER TYPE "lapse_status" ADD VALUE 'suspended';

-- AlterTable
ALTER TABLE "resource" ADD COLUMN     "attempts" INTEGER NOT NULL DEFAULT 0,
ADD COLUMN     "organization_id" UUID,
ADD COLUMN     "selector" TEXT,
ADD COLUMN     "suspended_at" TIMESTAMPTZ(3),
ADD COLUMN     "verifier" BYTEA;

-- CreateTable
CREATE TABLE "directory_organization" (
    "id" UUID NOT NULL DEFAULT lapse_uuidv7(),
    "reference" TEXT,
    "name" TEXT NOT NULL,
    "status" "lapse_organization_status" NOT NULL DEFAULT 'active',
    "plan" TEXT,
    "seat_limit" INTEGER,
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "directory_organization_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "directory_user" (
    "id" UUID NOT NULL DEFAULT lapse_uuidv7(),
    "reference" TEXT,
    "email" TEXT NOT NULL,
    "canonical" TEXT NOT NULL,
    "name" TEXT,
    "verified_at" TIMESTAMPTZ(3),
    "created_at" TIMESTAMPTZ(3) NOT NULL,
    "changed_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "directory_user_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "directory_membership" (
    "id" UUID NOT NULL DEFAULT lapse_uuidv7(),
    "organization_id" UUID NOT NULL,
    "user_id" UUID NOT NULL,
    "role" "lapse_role" NOT NULL,
    "joined_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "directory_membership_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "directory_organization_reference_key" ON "directory_organization"("reference");

-- CreateIndex
CREATE UNIQUE INDEX "directory_user_reference_key" ON "directory_user"("reference");

-- CreateIndex
CREATE UNIQUE INDEX "directory_user_canonical_key" ON "directory_user"("canonical");

-- CreateIndex
CREATE INDEX "directory_membership_user_id_idx" ON "directory_membership"("user_id");

-- CreateIndex
CREATE UNIQUE INDEX "directory_membership_organization_id_user_id_key" ON "directory_membership"("organization_id", "user_id");

-- AddForeignKey
ALTER TABLE "directory_membership" ADD CONSTRAINT "directory_membership_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "directory_organization"("id") ON DELETE RESTRICT ON UPDATE RESTRICT;

-- AddForeignKey
ALTER TABLE "directory_membership" ADD CONSTRAINT "directory_membership_user_id_fkey" FOREIGN KEY ("user_id") REFERENCES "directory_user"("id") ON DELETE RESTRICT ON UPDATE RESTRICT;

-- AddForeignKey
ALTER TABLE "resource" ADD CONSTRAINT "resource_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "directory_organization"("id") ON DELETE RESTRICT ON UPDATE RESTRICT;

-- Below: what Prisma's schema language cannot say.

ALTER TABLE "resource"
  -- As text: a value that was added to a type cannot be used before the commit.
  ADD CONSTRAINT "resource_stored_status" CHECK ("status"::text <> 'suspended'),
  ADD CONSTRAINT "resource_attempts" CHECK ("attempts" BETWEEN 0 AND 5),
  ADD CONSTRAINT "resource_selector_verifier" CHECK ("selector" IS NULL OR "verifier" IS NOT NULL);

ALTER TABLE "directory_organization" ADD CONSTRAINT "directory_organization_seats" CHECK ("seat_limit" >= 0);
ALTER TABLE "directory_user" ADD CONSTRAINT "directory_user_canonical" CHECK ("canonical" = lower("canonical"));

-- A token is found by its selector; most resources have none.
CREATE UNIQUE INDEX "resource_selector" ON "resource" ("selector") WHERE "selector" IS NOT NULL;
CREATE INDEX "resource_organization" ON "resource" ("organization_id", "id") WHERE "organization_id" IS NOT NULL;

-- What the watch for abuse reads.
CREATE INDEX "event_refused" ON "event" ("at") WHERE "type" = 'refused';
CREATE INDEX "event_invited" ON "event" ("at") WHERE "kind" = 'invite' AND "type" = 'issued';
-- Lists of one kind; and what somebody has invited to, when they lose the right to it.
CREATE INDEX "resource_organization_kind" ON "resource" ("organization_id", "kind", "id") WHERE "organization_id" IS NOT NULL;
CREATE INDEX "resource_inviter" ON "resource" (("payload" #>> '{inviter,id}')) WHERE "kind" = 'invite' AND "status" IN ('active', 'grace');
