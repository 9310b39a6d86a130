-- Up Migration
-- When people were last told of an alert, epoch seconds: an agent that starts, or takes over, repeats at the right time.
ALTER TABLE alerts ADD COLUMN told_at double precision;
