CREATE INDEX CONCURRENTLY "webhook_endpoint_sealed_by" ON "webhook_endpoint" (substring("sealed" from 1 for 4), "id");
