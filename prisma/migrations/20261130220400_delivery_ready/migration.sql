-- What may be claimed now, in the order of a fair walk: class, organization (a lane of the host's own is one by itself), lane.
CREATE INDEX CONCURRENTLY "delivery_ready" ON "delivery" ("channel", "priority", (coalesce("organization_id"::text, "lane") COLLATE "C"), "lane", "next_attempt_at")
  WHERE "ready" AND "status" IN ('pending', 'failed');
