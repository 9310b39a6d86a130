-- Up Migration
-- The two tables of the guide's original, partitioned by day (UTC). There is no default partition: rows in it would
-- prevent creating the partition of their day.

CREATE FUNCTION acgs_short_service(name text) RETURNS text LANGUAGE sql IMMUTABLE AS $$
  SELECT CASE lower(name)
    WHEN 'authentication' THEN 'auth'
    WHEN 'constitutional_ai' THEN 'ac'
    WHEN 'formal_verification' THEN 'fv'
    WHEN 'governance_synthesis' THEN 'gs'
    WHEN 'policy_governance' THEN 'pgc'
    WHEN 'evolutionary_computation' THEN 'ec'
    ELSE name
  END
$$;

-- In a database of the original, rename its tables; their rows are copied below.
DO $$
DECLARE
  original text;
  item record;
BEGIN
  FOREACH original IN ARRAY ARRAY['load_balancing_metrics', 'service_health_history'] LOOP
    IF (SELECT relkind FROM pg_class WHERE oid = to_regclass(original)) = 'r' THEN
      FOR item IN
        SELECT indexrelid::regclass::text AS name, relname, indexrelid::text AS oid
        FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid WHERE indrelid = to_regclass(original)
      LOOP
        -- Append the oid, because long names may differ only at their end.
        EXECUTE format('ALTER INDEX %s RENAME TO %I', item.name, 'original_' || item.oid || '_' || left(item.relname, 40));
      END LOOP;
      IF to_regclass(original || '_id_seq') IS NOT NULL THEN
        EXECUTE format('ALTER SEQUENCE %I RENAME TO %I', original || '_id_seq', original || '_original_id_seq');
      END IF;
      EXECUTE format('ALTER TABLE %I RENAME TO %I', original, original || '_original');
    END IF;
  END LOOP;
END
$$;

CREATE TABLE load_balancing_metrics (
  id bigserial,
  service_type text NOT NULL,
  instance_id text NOT NULL,
  timestamp double precision NOT NULL,
  response_time double precision NOT NULL,
  success_count integer NOT NULL DEFAULT 0,
  failure_count integer NOT NULL DEFAULT 0,
  current_connections integer NOT NULL DEFAULT 0,
  total_requests integer NOT NULL DEFAULT 0,
  cpu_usage double precision,
  memory_usage double precision,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX load_balancing_metrics_time ON load_balancing_metrics (timestamp);
CREATE INDEX load_balancing_metrics_instance ON load_balancing_metrics (service_type, instance_id, timestamp);

CREATE TABLE service_health_history (
  id bigserial,
  service_type text NOT NULL,
  instance_id text NOT NULL,
  is_healthy boolean NOT NULL,
  response_time double precision,
  error_message text,
  timestamp double precision NOT NULL,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP,
  PRIMARY KEY (id, timestamp)
) PARTITION BY RANGE (timestamp);
CREATE INDEX service_health_history_time ON service_health_history (timestamp);
CREATE INDEX service_health_history_instance ON service_health_history (service_type, instance_id, timestamp);

-- Creates the partition of the day that contains `at` (epoch seconds). Uses ATTACH, because CREATE … PARTITION OF would
-- block readers and writers of the whole table.
CREATE FUNCTION acgs_ensure_day(parent text, at double precision) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  first bigint := floor(at / 86400) * 86400;
  part text := parent || '_' || to_char(to_timestamp(first) AT TIME ZONE 'UTC', 'YYYYMMDD');
BEGIN
  IF to_regclass(part) IS NOT NULL THEN RETURN; END IF;
  PERFORM pg_advisory_xact_lock(hashtext('acgs_ensure_day'));
  IF to_regclass(part) IS NOT NULL THEN RETURN; END IF;
  EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)', part, parent);
  EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', parent, part, first, first + 86400);
END
$$;

-- Creates the partitions of both tables for all days from `from_at` to `to_at`.
CREATE FUNCTION acgs_ensure_days(from_at double precision, to_at double precision) RETURNS void LANGUAGE sql AS $$
  SELECT acgs_ensure_day(parent, day)
  FROM generate_series(floor(from_at / 86400)::bigint * 86400, floor(to_at / 86400)::bigint * 86400, 86400) AS day,
       unnest(ARRAY['load_balancing_metrics', 'service_health_history']) AS parent
$$;

-- Adopted tables. The original wrote running totals (requests since its process started); our rows count their own ten
-- seconds. Rows with ids up to last_id are kept unchanged, and roll-ups use their differences.
CREATE TABLE adopted_tables (
  name text PRIMARY KEY,
  last_id bigint NOT NULL,
  rows bigint NOT NULL,
  -- Timestamp of the row last_id, epoch seconds.
  until double precision,
  adopted_at timestamptz NOT NULL DEFAULT now()
);

DO $$
DECLARE
  target text;
  original text;
  day double precision;
  columns text;
  extra boolean;
  copied bigint;
  item record;
BEGIN
  FOREACH target IN ARRAY ARRAY['load_balancing_metrics', 'service_health_history'] LOOP
    original := target || '_original';
    CONTINUE WHEN to_regclass(original) IS NULL;
    FOR day IN EXECUTE format('SELECT DISTINCT floor(timestamp / 86400) * 86400 FROM %I', original) LOOP
      PERFORM acgs_ensure_day(target, day);
    END LOOP;
    -- Copy the columns that both have; columns that an operator added remain in the original.
    SELECT string_agg(quote_ident(ours.attname), ', ' ORDER BY ours.attnum) INTO columns
    FROM pg_attribute ours JOIN pg_attribute theirs ON theirs.attname = ours.attname
    WHERE ours.attrelid = to_regclass(target) AND theirs.attrelid = to_regclass(original)
      AND ours.attnum > 0 AND theirs.attnum > 0 AND NOT theirs.attisdropped;
    SELECT bool_or(ours.attname IS NULL) INTO extra
    FROM pg_attribute theirs
    LEFT JOIN pg_attribute ours ON ours.attrelid = to_regclass(target) AND ours.attname = theirs.attname
    WHERE theirs.attrelid = to_regclass(original) AND theirs.attnum > 0 AND NOT theirs.attisdropped;
    EXECUTE format('INSERT INTO %I (%s) SELECT %s FROM %I', target, columns,
      replace(columns, 'service_type', 'acgs_short_service(service_type)'), original);
    GET DIAGNOSTICS copied = ROW_COUNT;
    EXECUTE format('SELECT setval(%L, greatest((SELECT max(id) FROM %I), 1))', target || '_id_seq', target);
    EXECUTE format('INSERT INTO adopted_tables (name, last_id, rows, until) SELECT %L, coalesce(max(id), 0), %s, max(timestamp) FROM %I',
      target, copied, target);
    -- Copy read privileges of the original, such as those of a Grafana role.
    FOR item IN
      SELECT CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS role, privilege_type AS privilege
      FROM pg_class, aclexplode(relacl) WHERE oid = to_regclass(original) AND grantee <> relowner
    LOOP
      EXECUTE format('GRANT %s ON %I TO %s', item.privilege, target, item.role);
    END LOOP;
    IF extra THEN
      RAISE WARNING '% has additional columns and is kept', original;
    ELSE
      BEGIN
        EXECUTE format('DROP TABLE %I', original);
      EXCEPTION WHEN dependent_objects_still_exist THEN
        RAISE WARNING 'a view or a foreign key references %, which is kept and gets no new rows; recreate it on % instead',
          original, target;
      END;
    END IF;
  END LOOP;
END
$$;

SELECT acgs_ensure_days(extract(epoch FROM now()), extract(epoch FROM now() + interval '7 days'));
