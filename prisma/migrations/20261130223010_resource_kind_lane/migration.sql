-- In one state and of one kind, the newest first. The expression, `laneOf` in store/resource-list.ts, comes first: no other
-- index begins so, and a plan has no other to sort by.
CREATE INDEX CONCURRENTLY "resource_kind_lane" ON "resource" ((CASE WHEN "status" NOT IN ('active', 'grace') THEN "status" WHEN "suspended_at" IS NOT NULL THEN 'suspended' WHEN "starts_at" IS NOT NULL THEN 'scheduled' ELSE "status" END), "kind", "id");
