-- Up Migration
-- Hourly and daily roll-ups, kept 400 days. Sketches are DDSketch with relative error 1 % (shared/sketch.ts), as JSON:
-- {"count","sum","max","buckets":{"<index>":times}}, values in milliseconds.

-- Request latencies and availability samples per minute, moved into the hourly roll-ups. instance_id '' is the whole
-- service.
CREATE TABLE latency_minutes (
  id bigserial PRIMARY KEY,
  service_type text NOT NULL,
  instance_id text NOT NULL DEFAULT '',
  timestamp double precision NOT NULL,
  samples integer NOT NULL DEFAULT 0,
  up_samples integer NOT NULL DEFAULT 0,
  queued_max double precision NOT NULL DEFAULT 0,
  latency jsonb
);
CREATE INDEX latency_minutes_time ON latency_minutes (timestamp);

-- Times are epoch seconds (UTC). `rows` to `means` are recomputed from load_balancing_metrics whenever rows of the hour
-- arrive; `samples` to `latency` accumulate rows of latency_minutes.
CREATE TABLE metrics_hourly (
  start bigint NOT NULL,
  service_type text NOT NULL,
  instance_id text NOT NULL DEFAULT '',
  rows integer NOT NULL DEFAULT 0,
  requests bigint NOT NULL DEFAULT 0,
  failures bigint NOT NULL DEFAULT 0,
  -- Sum of mean response times in seconds, weighted by requests.
  response_time_sum double precision NOT NULL DEFAULT 0,
  -- Highest requests per second and number of connections of a ten-second period; for a service ('') of the sum over its
  -- instances.
  peak_rate double precision NOT NULL DEFAULT 0,
  peak_concurrency double precision NOT NULL DEFAULT 0,
  cpu_mean double precision,
  cpu_max double precision,
  memory_mean double precision,
  memory_max double precision,
  -- Mean latencies of ten-second rows, weighted by requests.
  means jsonb,
  samples integer NOT NULL DEFAULT 0,
  up_samples integer NOT NULL DEFAULT 0,
  queued_max double precision NOT NULL DEFAULT 0,
  -- Latencies of single requests, if the source reports them.
  latency jsonb,
  PRIMARY KEY (start, service_type, instance_id)
);

CREATE TABLE metrics_daily (LIKE metrics_hourly INCLUDING ALL);

-- Hours and days with rows that their roll-ups do not include yet.
CREATE TABLE dirty_hours (
  start bigint PRIMARY KEY,
  touched integer NOT NULL DEFAULT 1
);
CREATE TABLE dirty_days (
  start bigint PRIMARY KEY,
  touched integer NOT NULL DEFAULT 1
);

-- DO UPDATE instead of DO NOTHING: its row lock makes a concurrent roll-up wait until these rows are committed.
CREATE FUNCTION acgs_mark_dirty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dirty_hours AS d (start)
  SELECT DISTINCT floor(timestamp / 3600)::bigint * 3600 FROM fresh ORDER BY 1
  ON CONFLICT (start) DO UPDATE SET touched = d.touched + 1;
  RETURN NULL;
END
$$;
CREATE TRIGGER mark_dirty AFTER INSERT ON load_balancing_metrics
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION acgs_mark_dirty();
CREATE TRIGGER mark_dirty AFTER INSERT ON latency_minutes
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION acgs_mark_dirty();

-- Mark the rows that were adopted before the trigger existed.
INSERT INTO dirty_hours (start)
SELECT DISTINCT floor(timestamp / 3600)::bigint * 3600 FROM load_balancing_metrics;

-- State of maintenance: `raw_from` (raw rows are complete from then on) and `maintained_at`.
CREATE TABLE upkeep_state (
  name text PRIMARY KEY,
  value double precision NOT NULL
);
