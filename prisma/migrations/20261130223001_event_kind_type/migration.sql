-- The same of one kind and one type. What is asked of a kind alone, or of a type alone, is put together from its parts.
CREATE INDEX CONCURRENTLY "event_kind_type" ON "event" ("kind", "type", "at", "id");
