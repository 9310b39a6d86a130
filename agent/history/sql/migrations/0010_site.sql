-- Up Migration
-- Sites may share a database: every row has the site that wrote it. Existing rows get the site that migrates, which the
-- setting acgs_lb.site names. So do rows that are written without a site, such as those of an agent before this version
-- during a rolling upgrade.
DO $$
DECLARE
  own text := current_setting('acgs_lb.site');
  item text;
BEGIN
  FOREACH item IN ARRAY ARRAY[
    'load_balancing_metrics', 'service_health_history', 'breaker_events', 'state_events', 'alerts', 'alert_silences',
    'audit_log', 'spool_batches', 'latency_minutes', 'metrics_hourly', 'metrics_daily', 'dirty_hours', 'dirty_days',
    'upkeep_state', 'adopted_tables', 'governance_sessions', 'request_traces'
  ] LOOP
    -- A constant default is stored once for all existing rows: no table is rewritten.
    EXECUTE format('ALTER TABLE %I ADD COLUMN site text NOT NULL DEFAULT %L', item, own);
  END LOOP;
  EXECUTE format('ALTER TABLE request_minutes ALTER COLUMN site SET DEFAULT %L', own);
END
$$;

-- Ids of alerts, silences, sessions and batches are UUIDs, and other ids come from one sequence: they stay unique alone.
ALTER TABLE metrics_hourly DROP CONSTRAINT metrics_hourly_pkey, ADD PRIMARY KEY (site, start, service_type, instance_id);
ALTER TABLE metrics_daily DROP CONSTRAINT metrics_daily_pkey, ADD PRIMARY KEY (site, start, service_type, instance_id);
ALTER TABLE dirty_hours DROP CONSTRAINT dirty_hours_pkey, ADD PRIMARY KEY (site, start);
ALTER TABLE dirty_days DROP CONSTRAINT dirty_days_pkey, ADD PRIMARY KEY (site, start);
ALTER TABLE upkeep_state DROP CONSTRAINT upkeep_state_pkey, ADD PRIMARY KEY (site, name);
ALTER TABLE adopted_tables DROP CONSTRAINT adopted_tables_pkey, ADD PRIMARY KEY (site, name);

DROP INDEX load_balancing_metrics_time, load_balancing_metrics_instance, service_health_history_time,
  service_health_history_instance, breaker_events_time, breaker_events_service, state_events_time, state_events_service,
  alerts_started, audit_log_time, spool_batches_written, latency_minutes_time, latency_minutes_new,
  latency_minutes_instance, request_minutes_time, request_minutes_service, metrics_hourly_instance,
  metrics_daily_instance, governance_sessions_user, governance_sessions_state, governance_sessions_activity,
  request_traces_time;
CREATE INDEX load_balancing_metrics_time ON load_balancing_metrics (site, timestamp);
CREATE INDEX load_balancing_metrics_instance ON load_balancing_metrics (site, service_type, instance_id, timestamp);
CREATE INDEX service_health_history_time ON service_health_history (site, timestamp);
CREATE INDEX service_health_history_instance ON service_health_history (site, service_type, instance_id, timestamp);
CREATE INDEX breaker_events_time ON breaker_events (site, timestamp);
CREATE INDEX breaker_events_service ON breaker_events (site, service_type, timestamp);
CREATE INDEX state_events_time ON state_events (site, timestamp);
CREATE INDEX state_events_service ON state_events (site, service_type, timestamp);
CREATE INDEX alerts_started ON alerts (site, started_at);
CREATE INDEX audit_log_time ON audit_log (site, timestamp);
CREATE INDEX spool_batches_written ON spool_batches (site, written_at);
CREATE INDEX latency_minutes_time ON latency_minutes (site, timestamp);
CREATE INDEX latency_minutes_new ON latency_minutes (site, timestamp) WHERE NOT folded;
CREATE INDEX latency_minutes_instance ON latency_minutes (site, service_type, instance_id, timestamp);
CREATE INDEX request_minutes_time ON request_minutes (site, timestamp);
CREATE INDEX request_minutes_service ON request_minutes (site, service_type, timestamp);
CREATE INDEX metrics_hourly_instance ON metrics_hourly (site, service_type, instance_id, start);
CREATE INDEX metrics_daily_instance ON metrics_daily (site, service_type, instance_id, start);
CREATE INDEX governance_sessions_user ON governance_sessions (site, user_id, created_at);
CREATE INDEX governance_sessions_state ON governance_sessions (site, state, last_activity);
CREATE INDEX governance_sessions_activity ON governance_sessions (site, last_activity);
CREATE INDEX request_traces_time ON request_traces (site, timestamp);

-- A roll-up updates these rows, and the updated row takes new space: vacuum soon, so that later rows reuse the old space.
ALTER TABLE latency_minutes SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE metrics_hourly SET (autovacuum_vacuum_scale_factor = 0.02);

CREATE OR REPLACE FUNCTION acgs_mark_dirty() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO dirty_hours AS d (site, start)
  SELECT DISTINCT site, floor(timestamp / 3600)::bigint * 3600 FROM fresh ORDER BY 1, 2
  ON CONFLICT (site, start) DO UPDATE SET touched = d.touched + 1;
  RETURN NULL;
END
$$;
