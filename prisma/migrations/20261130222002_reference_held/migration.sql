CREATE UNIQUE INDEX CONCURRENTLY "resource_reference_held" ON "resource" ("kind", "reference") WHERE "reference" IS NOT NULL AND "reference_freed_at" IS NULL AND "status" IN ('active', 'grace');
