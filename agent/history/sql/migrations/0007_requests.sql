-- Up Migration
-- Requests per minute as clients saw them, each counted once, with the status that the client got. load_balancing_metrics
-- counts attempts of instances. Several agents and restarts add rows for the same minute: sum them.
CREATE TABLE request_minutes (
  id bigserial PRIMARY KEY,
  site text NOT NULL,
  service_type text NOT NULL,
  timestamp double precision NOT NULL,
  requests integer NOT NULL DEFAULT 0,
  -- 5xx, or no complete response.
  failed integer NOT NULL DEFAULT 0,
  attempts integer NOT NULL DEFAULT 0,
  retries integer NOT NULL DEFAULT 0,
  hedges integer NOT NULL DEFAULT 0,
  -- Rejected with 429 by a rate limit.
  limited integer NOT NULL DEFAULT 0,
  -- Milliseconds until the response headers, of requests that were not rejected. A sketch as in metrics_hourly.
  latency jsonb
);
CREATE INDEX request_minutes_time ON request_minutes (timestamp);
CREATE TRIGGER mark_dirty AFTER INSERT ON request_minutes
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION acgs_mark_dirty();

-- Of services (instance_id ''): recomputed from request_minutes whenever rows of the hour arrive. Null: not recorded, as in
-- hours before this migration.
ALTER TABLE metrics_hourly
  ADD COLUMN client_requests bigint,
  ADD COLUMN client_failed bigint,
  ADD COLUMN retries bigint,
  ADD COLUMN hedges bigint,
  ADD COLUMN limited bigint,
  ADD COLUMN client_latency jsonb;
ALTER TABLE metrics_daily
  ADD COLUMN client_requests bigint,
  ADD COLUMN client_failed bigint,
  ADD COLUMN retries bigint,
  ADD COLUMN hedges bigint,
  ADD COLUMN limited bigint,
  ADD COLUMN client_latency jsonb;
