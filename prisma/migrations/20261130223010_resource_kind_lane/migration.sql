-- Of one kind and in one state, the newest first. The expression is laneOf in store/listing.ts.
CREATE INDEX CONCURRENTLY "resource_kind_lane" ON "resource" ("kind", (CASE WHEN "status" NOT IN ('active', 'grace') THEN "status" WHEN "suspended_at" IS NOT NULL THEN 'suspended' WHEN "starts_at" IS NOT NULL THEN 'scheduled' ELSE "status" END), "id");
