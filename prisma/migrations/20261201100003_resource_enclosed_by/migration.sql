CREATE INDEX CONCURRENTLY "resource_enclosed_by" ON "resource" (substring("enclosed" from 1 for 4), "id") WHERE "enclosed" IS NOT NULL;
