-- What may be claimed later: when its time has come and its lease, if there is one, is over.
CREATE INDEX CONCURRENTLY "delivery_waiting" ON "delivery" ("channel", (greatest("next_attempt_at", "leased_until")))
  WHERE NOT "ready" AND "status" IN ('pending', 'failed');
