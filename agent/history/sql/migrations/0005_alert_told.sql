-- Up Migration
-- When a notification was last sent, epoch seconds: an agent that starts or takes over repeats it at the right time.
ALTER TABLE alerts ADD COLUMN told_at double precision;
