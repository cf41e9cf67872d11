-- The same within an organization.
CREATE INDEX CONCURRENTLY "resource_organization_lane" ON "resource" ("organization_id", "kind", (CASE WHEN "status" NOT IN ('active', 'grace') THEN "status" WHEN "suspended_at" IS NOT NULL THEN 'suspended' WHEN "starts_at" IS NOT NULL THEN 'scheduled' ELSE "status" END), "id") WHERE "organization_id" IS NOT NULL;
