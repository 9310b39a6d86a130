-- Up Migration
-- Hours and days, kept 400 days. Sketches are DDSketch with relative error 1 % (shared/sketch.ts), as JSON:
-- {"count","sum","max","buckets":{"<index>":times}}, values in milliseconds.

-- Latencies of individual requests and availability samples, a row a minute; folded into hours, then dropped.
-- instance_id '' is the service as a whole, as its clients see it.
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

-- Times are epoch seconds (UTC). `rows` to `means` come from load_balancing_metrics and are made anew whenever rows of
-- the hour arrive; `samples` to `latency` gather what latency_minutes held.
CREATE TABLE metrics_hourly (
  start bigint NOT NULL,
  service_type text NOT NULL,
  instance_id text NOT NULL DEFAULT '',
  rows integer NOT NULL DEFAULT 0,
  requests bigint NOT NULL DEFAULT 0,
  failures bigint NOT NULL DEFAULT 0,
  -- Request-weighted sum of mean response times, seconds.
  response_time_sum double precision NOT NULL DEFAULT 0,
  -- Requests per second and connections, highest of the hour's ten-second spans; for a service ('') of the sum over
  -- its instances.
  peak_rate double precision NOT NULL DEFAULT 0,
  peak_concurrency double precision NOT NULL DEFAULT 0,
  cpu_mean double precision,
  cpu_max double precision,
  memory_mean double precision,
  memory_max double precision,
  -- Of the rows' ten-second means, each weighing as many requests as it stands for.
  means jsonb,
  samples integer NOT NULL DEFAULT 0,
  up_samples integer NOT NULL DEFAULT 0,
  queued_max double precision NOT NULL DEFAULT 0,
  -- Of requests, where the source had them one by one.
  latency jsonb,
  PRIMARY KEY (start, service_type, instance_id)
);

CREATE TABLE metrics_daily (LIKE metrics_hourly INCLUDING ALL);

-- Hours and days whose sources changed since they were last rolled up.
CREATE TABLE dirty_hours (
  start bigint PRIMARY KEY,
  touched integer NOT NULL DEFAULT 1
);
CREATE TABLE dirty_days (
  start bigint PRIMARY KEY,
  touched integer NOT NULL DEFAULT 1
);

-- DO UPDATE, not DO NOTHING: the row lock makes a roll-up in flight wait for these rows' commit.
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

-- What adoption brought in before the trigger was there.
INSERT INTO dirty_hours (start)
SELECT DISTINCT floor(timestamp / 3600)::bigint * 3600 FROM load_balancing_metrics;

-- Small facts upkeep remembers: `raw_from`, from when on raw rows are complete; `maintained_at`.
CREATE TABLE upkeep_state (
  name text PRIMARY KEY,
  value double precision NOT NULL
);
