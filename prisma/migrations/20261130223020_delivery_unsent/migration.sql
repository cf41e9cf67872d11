-- What is outstanding, has given up or was cancelled, the newest first; and how many there are.
CREATE INDEX CONCURRENTLY "delivery_unsent" ON "delivery" ("channel", "status", "id") WHERE "status" <> 'sent';
