-- What a restore from a backup has set back, by resource: a page of that reads a page.
CREATE INDEX CONCURRENTLY "event_rewound" ON "event" ("resource_id", "id") WHERE "type" = 'rewound';
