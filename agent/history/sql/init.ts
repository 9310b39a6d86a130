import type pg from 'pg';
import { connectPostgres } from './connect.ts';
import { postgresErrorHint } from './error-hints.ts';
import { MigrationError } from './migrate.ts';
import { parsePostgresUrl } from './postgres-url.ts';

export interface InitResult {
  database: string;
  role: string;
  /** What had to be made; empty when all was there. */
  made: string[];
}

/**
 * What the guide's step "create database and user" does, repeatable: database, role, and the rights the role needs.
 * `adminUrl` is a superuser's, or that of a role that may create both; `targetUrl` names role, password and database.
 */
export async function initialiseDatabase(adminUrl: string, targetUrl: string): Promise<InitResult> {
  const target = readTarget(targetUrl);
  const made: string[] = [];
  await withClient(adminUrl, async (admin) => {
    const role = admin.escapeIdentifier(target.role);
    const known = await admin.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [target.role]);
    if (known.rowCount === 0) {
      await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${admin.escapeLiteral(target.password)}`);
      made.push(`role ${target.role}`);
    }
    const there = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [target.database]);
    if (there.rowCount === 0) {
      await admin.query(`CREATE DATABASE ${admin.escapeIdentifier(target.database)}`);
      made.push(`database ${target.database}`);
    }
    await admin.query(
      `GRANT ALL PRIVILEGES ON DATABASE ${admin.escapeIdentifier(target.database)} TO ${role}`,
    );
  });
  const inside = async (admin: pg.Client): Promise<void> => {
    // Since Postgres 15 rights on the database give none on its schema public.
    await admin.query(`GRANT ALL ON SCHEMA public TO ${admin.escapeIdentifier(target.role)}`);
    // Tables of the original that a superuser made must belong to whoever migrates them.
    const tables = await admin.query<{ tablename: string }>(
      `SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tableowner <> $1
       AND tablename IN ('load_balancing_metrics', 'service_health_history')`,
      [target.role],
    );
    for (const { tablename } of tables.rows) {
      const table = admin.escapeIdentifier(tablename);
      await admin.query(`ALTER TABLE ${table} OWNER TO ${admin.escapeIdentifier(target.role)}`);
      made.push(`ownership of ${tablename}`);
    }
  };
  await withClient(adminUrl, inside, target.database);
  return { database: target.database, role: target.role, made };
}

function readTarget(targetUrl: string): { role: string; password: string; database: string } {
  const { user = '', password = '', database = '' } = parsePostgresUrl(targetUrl);
  const target = { role: user, password, database };
  const missing = Object.entries(target).flatMap(([name, value]) => (value ? [] : [name]));
  if (missing.length === 0) return target;
  throw new MigrationError(
    `DATABASE_URL must name ${missing.join(' and ')}: postgresql://acgs_lb_user:PASSWORD@localhost:5432/acgs_lb`,
  );
}

async function withClient(
  url: string,
  work: (client: pg.Client) => Promise<void>,
  database?: string,
): Promise<void> {
  let client: pg.Client | undefined;
  try {
    client = await connectPostgres(url, database ? { database } : {});
    await work(client);
  } catch (cause) {
    const error = cause as Error & { code?: string };
    const words = error.message || String(error.code ?? error);
    throw new MigrationError(client ? words : `${words}: ${postgresErrorHint(error)}`, { cause });
  } finally {
    await client?.end().catch(() => {});
  }
}
