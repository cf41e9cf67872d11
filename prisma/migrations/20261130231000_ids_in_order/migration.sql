-- The twelve bits after the version hold the fraction of the millisecond (RFC 9562, 6.2, method 3): rows that are made one
-- after the other within a millisecond keep their order in every list.
CREATE OR REPLACE FUNCTION "lapse_uuidv7"() RETURNS uuid LANGUAGE sql VOLATILE AS $$
  SELECT overlay(replace(gen_random_uuid()::text, '-', '') PLACING
    overlay(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 4096000)::bigint), 15, '0') PLACING '7' FROM 13 FOR 0) FROM 1 FOR 16)::uuid
$$;
