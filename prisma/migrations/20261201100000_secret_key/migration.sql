-- Until when a key is needed by what it has signed and no row is sealed with: JWTs, and codes that were mailed.
CREATE TABLE "secret_key" (
    "id" TEXT NOT NULL,
    "needed_until" TIMESTAMPTZ(3) NOT NULL,

    CONSTRAINT "secret_key_pkey" PRIMARY KEY ("id")
);
