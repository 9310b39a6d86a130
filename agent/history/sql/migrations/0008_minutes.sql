-- Up Migration
-- Minutes stay readable for some days after they are rolled up, and hold what the pages of services and instances show.
-- Null: not recorded. `folded`: the hourly roll-up contains the row.
ALTER TABLE latency_minutes
  ADD COLUMN attempts integer,
  ADD COLUMN failures integer,
  ADD COLUMN status_2xx integer,
  ADD COLUMN status_3xx integer,
  ADD COLUMN status_4xx integer,
  ADD COLUMN status_5xx integer,
  -- Requests in flight plus queued, summed over the samples.
  ADD COLUMN concurrency_sum double precision,
  ADD COLUMN breaker_samples integer,
  ADD COLUMN outlier_samples integer,
  ADD COLUMN probes integer,
  ADD COLUMN probes_failed integer,
  -- Milliseconds of the probes that passed.
  ADD COLUMN probe_ms_sum double precision,
  -- Percentiles of `latency`, to compare instances without reading their sketches.
  ADD COLUMN p50_ms real,
  ADD COLUMN p95_ms real,
  ADD COLUMN folded boolean NOT NULL DEFAULT false;
CREATE INDEX latency_minutes_new ON latency_minutes (timestamp) WHERE NOT folded;
CREATE INDEX latency_minutes_instance ON latency_minutes (service_type, instance_id, timestamp);

ALTER TABLE request_minutes
  ADD COLUMN status_2xx integer,
  ADD COLUMN status_3xx integer,
  ADD COLUMN status_4xx integer,
  ADD COLUMN status_5xx integer;
CREATE INDEX request_minutes_service ON request_minutes (service_type, timestamp);

-- Null: not recorded, as in hours before this migration.
ALTER TABLE metrics_hourly
  ADD COLUMN status_2xx bigint,
  ADD COLUMN status_3xx bigint,
  ADD COLUMN status_4xx bigint,
  ADD COLUMN status_5xx bigint,
  ADD COLUMN concurrency_sum double precision,
  ADD COLUMN breaker_samples integer,
  ADD COLUMN outlier_samples integer,
  ADD COLUMN probes integer,
  ADD COLUMN probes_failed integer,
  ADD COLUMN probe_ms_sum double precision,
  ADD COLUMN p50_ms real,
  ADD COLUMN p95_ms real;
CREATE INDEX metrics_hourly_instance ON metrics_hourly (service_type, instance_id, start);
ALTER TABLE metrics_daily
  ADD COLUMN status_2xx bigint,
  ADD COLUMN status_3xx bigint,
  ADD COLUMN status_4xx bigint,
  ADD COLUMN status_5xx bigint,
  ADD COLUMN concurrency_sum double precision,
  ADD COLUMN breaker_samples integer,
  ADD COLUMN outlier_samples integer,
  ADD COLUMN probes integer,
  ADD COLUMN probes_failed integer,
  ADD COLUMN probe_ms_sum double precision,
  ADD COLUMN p50_ms real,
  ADD COLUMN p95_ms real;
CREATE INDEX metrics_daily_instance ON metrics_daily (service_type, instance_id, start);

-- The value of a sketch at quantile `q`, as in shared/sketch.ts. `log_gamma`: ln γ.
CREATE FUNCTION acgs_sketch_quantile(sketch jsonb, q double precision, log_gamma double precision)
RETURNS double precision LANGUAGE sql IMMUTABLE AS $$
  SELECT least(2 * exp(min(bucket) * log_gamma) / (exp(log_gamma) + 1), (sketch->>'max')::double precision)
  FROM (
    SELECT key::integer AS bucket, sum(value::numeric) OVER (ORDER BY key::integer) AS upto
    FROM jsonb_each_text(sketch->'buckets')
  ) AS counted
  WHERE upto > q * ((sketch->>'count')::double precision - 1)
$$;

-- The operator or program behind a change; null: the agent.
ALTER TABLE state_events ADD COLUMN actor text;
CREATE INDEX state_events_service ON state_events (service_type, timestamp);
CREATE INDEX breaker_events_service ON breaker_events (service_type, timestamp);
CREATE INDEX governance_sessions_activity ON governance_sessions (last_activity);
