-- Where what a key has sealed stands: its version and the key's id begin it.
CREATE INDEX CONCURRENTLY "delivery_sealed_by" ON "delivery" (substring("sealed" from 1 for 4), "id") WHERE "sealed" IS NOT NULL;
