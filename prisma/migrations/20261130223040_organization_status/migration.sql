CREATE INDEX CONCURRENTLY "directory_organization_status_id_idx" ON "directory_organization"("status", "id");
