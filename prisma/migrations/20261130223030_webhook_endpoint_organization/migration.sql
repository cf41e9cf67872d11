CREATE INDEX CONCURRENTLY "webhook_endpoint_organization_id_id_idx" ON "webhook_endpoint"("organization_id", "id");
