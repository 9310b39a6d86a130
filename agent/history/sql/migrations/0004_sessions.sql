-- Up Migration
CREATE TABLE governance_sessions (
  id text PRIMARY KEY,
  workflow_type text NOT NULL,
  user_id text NOT NULL,
  state text NOT NULL,
  current_step text NOT NULL,
  completed_steps jsonb NOT NULL DEFAULT '[]',
  -- Step → duration in seconds.
  step_durations jsonb NOT NULL DEFAULT '{}',
  step_started_at double precision NOT NULL,
  workflow_data jsonb NOT NULL DEFAULT '{}',
  metadata jsonb NOT NULL DEFAULT '{}',
  -- Service → instance.
  pins jsonb NOT NULL DEFAULT '{}',
  -- Moved pins: [{ at, service, from, to, reason }].
  moves jsonb NOT NULL DEFAULT '[]',
  created_at double precision NOT NULL,
  last_activity double precision NOT NULL,
  total_duration double precision,
  reason text,
  version integer NOT NULL DEFAULT 1
);
CREATE INDEX governance_sessions_user ON governance_sessions (user_id, created_at);
CREATE INDEX governance_sessions_state ON governance_sessions (state, last_activity);
