-- The ledger of an organization, by status.
CREATE INDEX CONCURRENTLY "delivery_organization" ON "delivery" ("organization_id", "status", "id") WHERE "organization_id" IS NOT NULL;
