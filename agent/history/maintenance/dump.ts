import type { Writable } from 'node:stream';
import type { Database, Queryable } from '../sql/database.ts';

/** The first line of our own dumps; pg_dump begins its dumps differently. */
export const DUMP_HEADER = '-- acgs-lb data';

const FETCH_ROWS = 500;
/** The migrations themselves restore this table. */
const EXCLUDED_TABLES = new Set(['acgs_lb_migrations']);
const PARTITIONED_TABLES = new Set(['load_balancing_metrics', 'service_health_history']);

interface DumpTable {
  name: string;
  /** Quoted column names, separated by commas. */
  columns: string;
  /** Of the column `id`. */
  sequence: string | null;
  triggers: boolean;
}

/**
 * Writes all rows as SQL, one statement per line, for the embedded database and for machines without a suitable pg_dump.
 * The dump is restored into an empty schema of the same version (`acgs-lb restore`, or `acgs-lb migrate` and psql).
 */
export async function dumpRows(
  database: Database,
  out: Writable,
  onRows: (done: number, total: number) => void = () => {},
): Promise<{ tables: number; rows: number }> {
  return database.transaction(async (client) => {
    // One consistent snapshot of all tables, however long the dump takes.
    await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows: migrations } = await client.query<{ name: string }>(
      'SELECT name FROM acgs_lb_migrations ORDER BY id',
    );
    const tables = await readTables(client);
    const total = await countRows(client, tables);
    await write(out, `${DUMP_HEADER} ${migrations.at(-1)?.name ?? ''}\nBEGIN;\n`);
    // Without triggers, restoring marks no hour as dirty: the dump contains the roll-ups.
    await writeTriggers(out, tables, 'DISABLE');
    await write(out, 'DELETE FROM dirty_hours; DELETE FROM dirty_days;\n');
    let done = 0;
    for (const table of tables) {
      if (PARTITIONED_TABLES.has(table.name)) await writePartitions(client, out, table.name);
      for await (const rows of readRows(client, table.name)) {
        await write(out, insertStatement(table, rows));
        done += rows.length;
        onRows(done, total);
      }
    }
    for (const { name, sequence } of tables) {
      if (!sequence) continue;
      await write(out, `SELECT setval('${sequence}', greatest((SELECT max(id) FROM ${name}), 1));\n`);
    }
    await writeTriggers(out, tables, 'ENABLE');
    await write(out, 'COMMIT;\n');
    return { tables: tables.length, rows: done };
  });
}

async function writeTriggers(
  out: Writable,
  tables: readonly DumpTable[],
  action: 'ENABLE' | 'DISABLE',
): Promise<void> {
  for (const { name } of tables.filter(({ triggers }) => triggers)) {
    await write(out, `ALTER TABLE ${name} ${action} TRIGGER USER;\n`);
  }
}

async function writePartitions(client: Queryable, out: Writable, table: string): Promise<void> {
  const { rows } = await client.query<{ day: number }>(
    `SELECT DISTINCT floor(timestamp / 86400) * 86400 AS day FROM ${table} ORDER BY 1`,
  );
  for (const { day } of rows) await write(out, `SELECT acgs_ensure_day('${table}', ${day});\n`);
}

/** The rows of a table as JSON, `FETCH_ROWS` at a time. */
async function* readRows(client: Queryable, table: string): AsyncGenerator<unknown[]> {
  await client.query(`DECLARE dump NO SCROLL CURSOR FOR SELECT to_jsonb(t) AS row FROM ${table} t`);
  for (;;) {
    const { rows } = await client.query<{ row: unknown }>(`FETCH ${FETCH_ROWS} FROM dump`);
    if (rows.length === 0) break;
    yield rows.map(({ row }) => row);
  }
  await client.query('CLOSE dump');
}

function insertStatement({ name, columns }: DumpTable, rows: readonly unknown[]): string {
  const json = escapeLineSeparators(JSON.stringify(rows)).replaceAll("'", "''");
  return `INSERT INTO ${name} (${columns}) SELECT ${columns} FROM jsonb_populate_recordset(NULL::${name}, '${json}') ON CONFLICT DO NOTHING;\n`;
}

/** JSON may contain U+2028 and U+2029, which some readers, such as Node's readline, treat as the end of a line. */
const escapeLineSeparators = (json: string): string =>
  json.replace(/[\u2028\u2029]/g, (character) => `\\u${character.charCodeAt(0).toString(16)}`);

async function countRows(client: Queryable, tables: readonly DumpTable[]): Promise<number> {
  const counts = tables.map(({ name }) => `(SELECT count(*) FROM ${name})`);
  const { rows } = await client.query<{ total: number }>(
    `SELECT (0 + ${counts.join(' + ')})::float8 AS total`,
  );
  return rows[0]?.total ?? 0;
}

async function readTables(client: Queryable): Promise<DumpTable[]> {
  const { rows } = await client.query<DumpTable & Record<string, unknown>>(
    `SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
            max(CASE WHEN a.attname = 'id' THEN pg_get_serial_sequence(quote_ident(c.relname), 'id') END) AS sequence,
            bool_or(c.relhastriggers) AS triggers
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     GROUP BY c.relname ORDER BY c.relname`,
  );
  return rows.filter(({ name }) => !EXCLUDED_TABLES.has(name));
}

function write(out: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    out.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
