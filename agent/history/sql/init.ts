import type pg from 'pg';
import { errorMessage } from '../../../shared/error-message.ts';
import { connectPostgres } from './connect.ts';
import { postgresErrorHint } from './error-hints.ts';
import { MigrationError } from './migrate.ts';
import { parsePostgresUrl } from './postgres-url.ts';

interface InitResult {
  database: string;
  role: string;
  /** Objects that were created or changed; empty when everything existed. */
  made: string[];
}

/**
 * Creates the database, the role and its privileges unless they exist (the guide's step "create database and user").
 * `adminUrl` is the URL of a superuser, or of a role that may create both. `targetUrl` names role, password and database.
 * Throws MigrationError.
 */
export async function initialiseDatabase(adminUrl: string, targetUrl: string): Promise<InitResult> {
  const target = readTarget(targetUrl);
  const made: string[] = [];
  await withClient(adminUrl, async (admin) => {
    const role = admin.escapeIdentifier(target.role);
    const existingRole = await admin.query('SELECT 1 FROM pg_roles WHERE rolname = $1', [target.role]);
    if (existingRole.rowCount === 0) {
      await admin.query(`CREATE ROLE ${role} LOGIN PASSWORD ${admin.escapeLiteral(target.password)}`);
      made.push(`role ${target.role}`);
    }
    const existingDatabase = await admin.query('SELECT 1 FROM pg_database WHERE datname = $1', [
      target.database,
    ]);
    if (existingDatabase.rowCount === 0) {
      await admin.query(`CREATE DATABASE ${admin.escapeIdentifier(target.database)}`);
      made.push(`database ${target.database}`);
    }
    await admin.query(
      `GRANT ALL PRIVILEGES ON DATABASE ${admin.escapeIdentifier(target.database)} TO ${role}`,
    );
  });
  const grantInside = async (admin: pg.Client): Promise<void> => {
    // Since Postgres 15, privileges on the database do not include its schema public.
    await admin.query(`GRANT ALL ON SCHEMA public TO ${admin.escapeIdentifier(target.role)}`);
    // The role that migrates must own the original's tables, also when a superuser created them.
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
  await withClient(adminUrl, grantInside, target.database);
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
    const message = errorMessage(cause);
    throw new MigrationError(client ? message : `${message}: ${postgresErrorHint(cause)}`, { cause });
  } finally {
    await client?.end().catch(() => {});
  }
}
