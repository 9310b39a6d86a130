-- Up Migration
-- Requests that failed or were slow, as edge and HAProxy described them. Kept as long as raw rows.
CREATE TABLE request_traces (
  id bigserial PRIMARY KEY,
  timestamp double precision NOT NULL,
  request_id text NOT NULL,
  trace_id text NOT NULL,
  service_type text NOT NULL,
  detail jsonb NOT NULL
);
CREATE INDEX request_traces_time ON request_traces (timestamp);
CREATE INDEX request_traces_request ON request_traces (request_id);
CREATE INDEX request_traces_trace ON request_traces (trace_id);
