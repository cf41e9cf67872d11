-- The audit in the order of time, whatever order its ids were given out in.
CREATE INDEX CONCURRENTLY "event_time" ON "event" ("at", "id");
