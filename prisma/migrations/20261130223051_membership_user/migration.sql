CREATE INDEX CONCURRENTLY "directory_membership_user_id_id_idx" ON "directory_membership"("user_id", "id");
