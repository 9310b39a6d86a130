import type { Database } from '../history/sql/database.ts';
import type { GovernanceSession, PinMove, SessionState } from './session.ts';
import { fromRow, type SessionRow, toRow } from './session-row.ts';

/** Sessions in Postgres, the source of truth. Updates use optimistic locking on `version`. */
export interface SessionStore {
  insert(session: GovernanceSession): Promise<void>;
  get(id: string): Promise<GovernanceSession | null>;
  /**
   * Writes everything but pins and moves. Returns the stored session, with its current pins and moves; null when the
   * stored version is not the one before `session`'s.
   */
  update(session: GovernanceSession): Promise<GovernanceSession | null>;
  list(filter: SessionFilter): Promise<GovernanceSession[]>;
  /** The newest `limit` active and suspended sessions, newest last. */
  listOpen(limit: number): Promise<Pick<GovernanceSession, 'id' | 'pins'>[]>;
  /** Sets the given pins, keeps the others, appends the moves. */
  savePins(id: string, pins: Record<string, string>, moves: readonly PinMove[]): Promise<void>;
  /** Expires sessions without activity since `before`. Returns their ids. */
  expire(idle: { state: SessionState; before: number }[], now: number): Promise<string[]>;
  stats(): Promise<SessionStats>;
}

export interface SessionFilter {
  user?: string | undefined;
  state?: SessionState | undefined;
  limit: number;
}

export interface SessionStats {
  total: number;
  byState: Record<string, number>;
  /** Open sessions only. */
  byWorkflow: Record<string, number>;
  /** Mean age of open sessions in seconds; null without any. */
  averageAge: number | null;
  /** Mean seconds from creation to completion, of completed sessions. */
  averageDuration: number | null;
  moves: number;
}

export function createSessionStore(database: Database): SessionStore {
  const { site } = database;
  return {
    async insert(session) {
      const columns = [...toColumns(toRow(session)), ['site', site] as const];
      const names = columns.map(([name]) => name).join(', ');
      const places = columns.map((_, index) => `$${index + 1}`).join(', ');
      await database.query(
        `INSERT INTO governance_sessions (${names}) VALUES (${places})`,
        columns.map(([, value]) => value),
      );
    },
    async get(id) {
      const { rows } = await database.query<SessionRow>(
        'SELECT * FROM governance_sessions WHERE id = $1 AND site = $2',
        [id, site],
      );
      return rows[0] ? fromRow(rows[0]) : null;
    },
    async update(session) {
      // Only `savePins` writes pins and moves; it does not change the version.
      const { id, pins: _pins, moves: _moves, ...row } = toRow(session);
      const columns = toColumns(row);
      const assignments = columns.map(([name], index) => `${name} = $${index + 4}`).join(', ');
      const { rows } = await database.query<SessionRow>(
        `UPDATE governance_sessions SET ${assignments} WHERE id = $1 AND version = $2 AND site = $3 RETURNING *`,
        [id, session.version - 1, site, ...columns.map(([, value]) => value)],
      );
      return rows[0] ? fromRow(rows[0]) : null;
    },
    async list({ user, state, limit }) {
      const { rows } = await database.query<SessionRow>(
        `SELECT * FROM governance_sessions
         WHERE site = $4 AND ($1::text IS NULL OR user_id = $1) AND ($2::text IS NULL OR state = $2)
         ORDER BY created_at DESC LIMIT $3`,
        [user ?? null, state ?? null, limit, site],
      );
      return rows.map(fromRow);
    },
    async listOpen(limit) {
      const { rows } = await database.query<Pick<SessionRow, 'id' | 'pins'>>(
        `SELECT id, pins FROM governance_sessions WHERE site = $2 AND state IN ('active', 'suspended')
         ORDER BY created_at DESC LIMIT $1`,
        [limit, site],
      );
      return rows.reverse();
    },
    async savePins(id, pins, moves) {
      await database.query(
        `UPDATE governance_sessions SET pins = pins || $2::jsonb, moves = moves || $3::jsonb
         WHERE id = $1 AND site = $4`,
        [id, JSON.stringify(pins), JSON.stringify(moves), site],
      );
    },
    async expire(idle, now) {
      const expired: string[] = [];
      for (const { state, before } of idle) {
        const { rows } = await database.query<{ id: string }>(
          `UPDATE governance_sessions
           SET state = 'expired', reason = 'idle too long', version = version + 1, total_duration = $3 - created_at
           WHERE site = $4 AND state = $1 AND last_activity <= $2 RETURNING id`,
          [state, before / 1000, now / 1000, site],
        );
        expired.push(...rows.map(({ id }) => id));
      }
      return expired;
    },
    stats: () => readStats(database),
  };
}

async function readStats(database: Database): Promise<SessionStats> {
  const { site } = database;
  const { rows: states } = await database.query<{ state: string; sessions: number; moves: number }>(
    `SELECT state, count(*) AS sessions, coalesce(sum(jsonb_array_length(moves)), 0) AS moves
     FROM governance_sessions WHERE site = $1 GROUP BY state`,
    [site],
  );
  const { rows: workflows } = await database.query<{ workflow_type: string; sessions: number; age: number }>(
    `SELECT workflow_type, count(*) AS sessions, sum(extract(epoch FROM now())::float8 - created_at) AS age
     FROM governance_sessions WHERE site = $1 AND state IN ('active', 'suspended') GROUP BY workflow_type`,
    [site],
  );
  const { rows: done } = await database.query<{ duration: number | null }>(
    "SELECT avg(total_duration) AS duration FROM governance_sessions WHERE site = $1 AND state = 'completed'",
    [site],
  );
  const open = workflows.reduce((sum, { sessions }) => sum + sessions, 0);
  return {
    total: states.reduce((sum, { sessions }) => sum + sessions, 0),
    byState: Object.fromEntries(states.map(({ state, sessions }) => [state, sessions])),
    byWorkflow: Object.fromEntries(workflows.map(({ workflow_type, sessions }) => [workflow_type, sessions])),
    averageAge: open > 0 ? workflows.reduce((sum, { age }) => sum + age, 0) / open : null,
    averageDuration: done[0]?.duration ?? null,
    moves: states.reduce((sum, { moves }) => sum + Number(moves), 0),
  };
}

/** Columns with their values; arrays and objects become JSON text. */
const toColumns = (row: Partial<SessionRow>): [string, unknown][] =>
  Object.entries(row).map(([column, value]) => [
    column,
    typeof value === 'object' && value !== null ? JSON.stringify(value) : value,
  ]);
