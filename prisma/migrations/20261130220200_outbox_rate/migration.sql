CREATE TABLE "outbox_rate" (
    "name" TEXT NOT NULL,
    "next_at" TIMESTAMPTZ(6) NOT NULL,
    "urgent_until" TIMESTAMPTZ(6),

    CONSTRAINT "outbox_rate_pkey" PRIMARY KEY ("name")
);
