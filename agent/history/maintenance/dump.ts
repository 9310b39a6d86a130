import type { Writable } from 'node:stream';
import type { Database } from '../sql/database.ts';

/** First line of a dump of ours; a dump of pg_dump begins otherwise. */
export const DUMP_HEADER = '-- acgs-lb data';

const PAGE = 500;
/** Restored by running the migrations. */
const LEFT_OUT = new Set(['acgs_lb_migrations']);

/**
 * All rows as SQL, one statement a line, for the embedded database and for machines without a fitting pg_dump. To be
 * replayed onto an empty schema of the same version (`acgs-lb restore`, or `acgs-lb migrate` and psql).
 */
export async function dumpRows(
  database: Database,
  out: Writable,
  onRows: (done: number, total: number) => void = () => {},
): Promise<{ tables: number; rows: number }> {
  let total = 0;
  const tables = await database.transaction(async (client) => {
    // One picture of all tables, however long it takes.
    await client.query('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY');
    const { rows: migrations } = await client.query<{ name: string }>(
      'SELECT name FROM acgs_lb_migrations ORDER BY id',
    );
    const list = await tablesOf(client);
    const all = await countRows(client, list);
    await write(out, `${DUMP_HEADER} ${migrations.at(-1)?.name ?? ''}\nBEGIN;\n`);
    // Restoring marks no hour dirty: roll-ups come along.
    for (const table of list)
      if (table.triggers) await write(out, `ALTER TABLE ${table.name} DISABLE TRIGGER USER;\n`);
    await write(out, `DELETE FROM dirty_hours; DELETE FROM dirty_days;\n`);
    for (const { name, columns } of list) {
      if (name === 'load_balancing_metrics' || name === 'service_health_history') {
        const { rows } = await client.query<{ day: number }>(
          `SELECT DISTINCT floor(timestamp / 86400) * 86400 AS day FROM ${name} ORDER BY 1`,
        );
        for (const { day } of rows) await write(out, `SELECT acgs_ensure_day('${name}', ${day});\n`);
      }
      await client.query(`DECLARE dump NO SCROLL CURSOR FOR SELECT to_jsonb(t) AS row FROM ${name} t`);
      for (;;) {
        const { rows } = await client.query<{ row: string }>(`FETCH ${PAGE} FROM dump`);
        if (rows.length === 0) break;
        total += rows.length;
        onRows(total, all);
        const json = oneLine(JSON.stringify(rows.map(({ row }) => row))).replaceAll("'", "''");
        await write(
          out,
          `INSERT INTO ${name} (${columns}) SELECT ${columns} FROM jsonb_populate_recordset(NULL::${name}, '${json}') ON CONFLICT DO NOTHING;\n`,
        );
      }
      await client.query('CLOSE dump');
    }
    for (const { name, sequence } of list) {
      if (sequence)
        await write(out, `SELECT setval('${sequence}', greatest((SELECT max(id) FROM ${name}), 1));\n`);
    }
    for (const table of list)
      if (table.triggers) await write(out, `ALTER TABLE ${table.name} ENABLE TRIGGER USER;\n`);
    await write(out, 'COMMIT;\n');
    return list.length;
  });
  return { tables, rows: total };
}

/** Line and paragraph separators end a line for some readers, Node's readline among them; JSON lets them stand. */
const oneLine = (json: string): string =>
  json.replace(/[\u2028\u2029]/g, (letter) => `\\u${letter.charCodeAt(0).toString(16)}`);

async function countRows(
  client: Pick<Database, 'query'>,
  list: readonly { name: string }[],
): Promise<number> {
  const counts = list.map(({ name }) => `(SELECT count(*) FROM ${name})`);
  const { rows } = await client.query<{ all: number }>(`SELECT (0 + ${counts.join(' + ')})::float8 AS all`);
  return rows[0]?.all ?? 0;
}

async function tablesOf(client: Pick<Database, 'query'>) {
  const { rows } = await client.query<{
    name: string;
    columns: string;
    sequence: string | null;
    triggers: boolean;
  }>(
    `SELECT c.relname AS name, string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) AS columns,
            max(CASE WHEN a.attname = 'id' THEN pg_get_serial_sequence(quote_ident(c.relname), 'id') END) AS sequence,
            bool_or(c.relhastriggers) AS triggers
     FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
     GROUP BY c.relname ORDER BY c.relname`,
  );
  return rows.filter(({ name }) => !LEFT_OUT.has(name));
}

function write(out: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    out.write(text, (error) => (error ? reject(error) : resolve()));
  });
}
