CREATE INDEX CONCURRENTLY "webhook_endpoint_status_id_idx" ON "webhook_endpoint"("status", "id");
