-- Whose step a hook refuses: it is tried later, and may be over meanwhile.
CREATE INDEX CONCURRENTLY "resource_failing" ON "resource" ("failures") WHERE "failures" > 0;
