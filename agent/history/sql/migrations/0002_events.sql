-- Up Migration
-- Events, which are kept much longer than the rows written every ten seconds.

CREATE TABLE breaker_events (
  id bigserial PRIMARY KEY,
  service_type text NOT NULL,
  instance_id text NOT NULL,
  timestamp double precision NOT NULL,
  from_state text,
  to_state text,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX breaker_events_time ON breaker_events (timestamp);

-- Changes of state, admin state and weight, registrations and deregistrations, with their reasons.
CREATE TABLE state_events (
  id bigserial PRIMARY KEY,
  service_type text NOT NULL,
  instance_id text NOT NULL,
  timestamp double precision NOT NULL,
  kind text NOT NULL,
  from_state text,
  to_state text,
  reason text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX state_events_time ON state_events (timestamp);

CREATE TABLE alerts (
  id text PRIMARY KEY,
  rule text NOT NULL,
  service_type text NOT NULL,
  instance_id text NOT NULL DEFAULT '',
  severity text NOT NULL,
  state text NOT NULL,
  value double precision,
  threshold double precision,
  message text NOT NULL,
  started_at double precision NOT NULL,
  changed_at double precision NOT NULL,
  resolved_at double precision,
  acknowledged_at double precision,
  acknowledged_by text,
  notified integer NOT NULL DEFAULT 0
);
CREATE INDEX alerts_started ON alerts (started_at);

CREATE TABLE alert_silences (
  id text PRIMARY KEY,
  rule text NOT NULL DEFAULT '',
  service_type text NOT NULL DEFAULT '',
  instance_id text NOT NULL DEFAULT '',
  until_at double precision NOT NULL,
  reason text NOT NULL,
  created_by text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE audit_log (
  id bigserial PRIMARY KEY,
  timestamp double precision NOT NULL,
  actor text NOT NULL,
  action text NOT NULL,
  target text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_time ON audit_log (timestamp);

-- Ids of written batches, inserted in the transaction of their rows: a batch that is sent again, because its commit was
-- not confirmed or it was replayed from the spool, is ignored.
CREATE TABLE spool_batches (
  id text PRIMARY KEY,
  written_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX spool_batches_written ON spool_batches (written_at);
