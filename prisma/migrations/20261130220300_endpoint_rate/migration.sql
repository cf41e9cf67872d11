ALTER TABLE "webhook_endpoint" ADD COLUMN "max_per_second" INTEGER;
