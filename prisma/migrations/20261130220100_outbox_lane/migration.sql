CREATE TABLE "outbox_lane" (
    "channel" "lapse_channel" NOT NULL,
    "lane" TEXT COLLATE "C" NOT NULL,
    "failures" INTEGER NOT NULL DEFAULT 0,
    "opened_at" TIMESTAMPTZ(3),
    "next_probe_at" TIMESTAMPTZ(3),
    "next_at" TIMESTAMPTZ(3),
    "changed_at" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "outbox_lane_pkey" PRIMARY KEY ("channel", "lane")
);

-- The open circuit breakers, for endpoints, metrics and alerts; and what may be forgotten.
CREATE INDEX "outbox_lane_open" ON "outbox_lane" ("opened_at") WHERE "opened_at" IS NOT NULL;
CREATE INDEX "outbox_lane_changed_at_idx" ON "outbox_lane"("changed_at");
