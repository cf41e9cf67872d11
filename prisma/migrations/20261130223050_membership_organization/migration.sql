CREATE INDEX CONCURRENTLY "directory_membership_organization_id_id_idx" ON "directory_membership"("organization_id", "id");
