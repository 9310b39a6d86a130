import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { initialiseDatabase } from '../../agent/history/sql/init.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import type { LocalPostgres } from '../../dev/servers/postgres.ts';
import { startPostgres } from '../harness/postgres.ts';

let server: LocalPostgres;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

/** The URL of another database of the server. */
const at = (database: string, user?: string): string => {
  const url = new URL(server.adminUrl);
  url.pathname = `/${database}`;
  if (user) {
    url.username = user;
    url.password = 'not@simple';
  }
  return url.href;
};

async function ask(url: string, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

/** An empty database of the server. */
async function create(database: string): Promise<void> {
  await ask(server.adminUrl, `DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await ask(server.adminUrl, `CREATE DATABASE ${database}`);
}

/** Columns, keys and partition bounds. */
const SCHEMA = `SELECT table_name, column_name, data_type, column_default, is_nullable
  FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'acgs_lb_migrations'
  ORDER BY table_name, ordinal_position`;

test('init creates database, role and privileges, is idempotent, and the role can migrate', async () => {
  const target = at('fresh', 'fresh_user');
  await ask(server.adminUrl, 'DROP DATABASE IF EXISTS fresh WITH (FORCE)');
  await ask(server.adminUrl, 'DROP ROLE IF EXISTS fresh_user');
  expect((await initialiseDatabase(server.adminUrl, target)).made).toEqual([
    'role fresh_user',
    'database fresh',
  ]);
  expect((await initialiseDatabase(server.adminUrl, target)).made).toEqual([]);
  expect((await migrate(target, 'main')).applied.length).toBeGreaterThan(3);
  expect((await migrate(target, 'main')).applied).toEqual([]);
});

test('the newest schema is the same from an empty database and from every earlier version', async () => {
  await create('whole');
  const { applied } = await migrate(at('whole'), 'main');
  const whole = await ask(at('whole'), SCHEMA);
  for (let count = 1; count < applied.length; count++) {
    await create(`v${count}`);
    expect((await migrate(at(`v${count}`), 'main', { count })).applied).toEqual(applied.slice(0, count));
    expect((await migrate(at(`v${count}`), 'main')).applied).toEqual(applied.slice(count));
    expect(await ask(at(`v${count}`), SCHEMA)).toEqual(whole);
  }
});

test('two concurrent migrators run each migration once', async () => {
  await create('twice');
  const both = await Promise.all([migrate(at('twice'), 'main'), migrate(at('twice'), 'main')]);
  expect(both.map(({ applied }) => applied.length).sort()[0]).toBe(0);
});

test('missing privileges, a missing database and an unreachable server each give a hint', async () => {
  await ask(server.adminUrl, 'DROP ROLE IF EXISTS poor');
  await ask(server.adminUrl, "CREATE ROLE poor LOGIN PASSWORD 'not@simple'");
  await create('rich');
  await expect(migrate(at('rich', 'poor'), 'main')).rejects.toThrow(/schema public.*migrate --init/);
  await migrate(at('rich'), 'main');
  await ask(at('rich'), 'GRANT SELECT ON ALL TABLES IN SCHEMA public TO poor');
  await expect(migrate(at('rich', 'poor'), 'main')).rejects.toThrow(/must be owner.*does not own the tables/);
  await expect(migrate(at('nowhere'), 'main')).rejects.toThrow(/migrate --init/);
  await expect(migrate('postgres://u:p@127.0.0.1:1/x', 'main')).rejects.toThrow(/ECONNREFUSED/);
  await expect(initialiseDatabase(server.adminUrl, 'postgres://localhost/x')).rejects.toThrow(
    /role and password/,
  );
});
