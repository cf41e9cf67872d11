-- AlterTable
ALTER TABLE "resource" ADD COLUMN "reference_freed_at" TIMESTAMPTZ(3);
