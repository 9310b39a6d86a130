import { expect, it } from 'vitest';
import { parseGatewayRecord } from '../../agent/haproxy/telemetry/gateway-record.ts';
import { splitLogLine } from '../../agent/haproxy/telemetry/log-line.ts';
import { maintain } from '../../agent/history/maintenance/maintain.ts';
import type { HistoryRecord } from '../../agent/history/records.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { writeBatch } from '../../agent/history/sql/write-batch.ts';
import { createTraceHistory } from '../../agent/tracing/trace-history.ts';
import { createTracing } from '../../agent/tracing/tracing.ts';
import { startPostgres } from '../harness/postgres.ts';
import { gatewayLine, sampleAttempt, sampleTrace, TRACE_ID } from '../harness/traces.ts';
import { useServers } from '../harness/use-servers.ts';

const NOW = Date.UTC(2026, 2, 10, 5);

let database: Database;
const records: HistoryRecord[] = [];
const releases: (() => unknown)[] = [];

useServers(async () => {
  const server = await startPostgres();
  releases.push(() => server.stop());
  await migrate(server.url, 'main');
  database = openDatabase(server.url, 'main', { min: 0, max: 2, idle: 1_000 });
  releases.push(() => database.close());
}, releaseAll);

async function releaseAll(): Promise<void> {
  for (const release of releases.splice(0).reverse()) await release();
}

const noExporter = {
  isOn: () => false,
  hasRoom: () => true,
  add: () => undefined,
  close: async () => undefined,
};
/** Memory of its own, as after a restart. */
const startTracing = () =>
  createTracing({
    exporter: noExporter,
    history: createTraceHistory({ write: (rows) => records.push(...rows), database }),
    site: () => 'main',
    onDropped: () => undefined,
  });

it('failed and slow requests survive a restart, with the view of HAProxy; others do not', async () => {
  const before = startTracing();
  const addLine = (line: string): void => {
    const fields = splitLogLine(line);
    if (fields) before.addLine(line, fields, NOW);
  };
  addLine(gatewayLine({ status: 502, end: 'SH--' }));
  addLine(gatewayLine({ requestId: 'direct', counted: '-', parentId: '-', status: 503 }));
  addLine(gatewayLine({ requestId: 'good', counted: '-', parentId: '-' }));
  const failed = sampleTrace({ at: NOW, status: 502, attempts: [sampleAttempt({ status: 502 })] });
  before.addTraces([failed, sampleTrace({ at: NOW, requestId: 'fast', traceId: 'f'.repeat(32) })], NOW);
  await writeBatch(database, 'batch-1', records);

  const after = startTracing();
  expect(await after.find('r-1')).toEqual({
    edge: [failed],
    gateway: [parseGatewayRecord(gatewayLine({ status: 502, end: 'SH--' }), NOW)],
  });
  expect((await after.find(TRACE_ID)).edge).toEqual([failed]);
  expect((await after.find('direct')).gateway).toHaveLength(1);
  for (const id of ['good', 'fast']) expect(await after.find(id)).toEqual({ edge: [], gateway: [] });
});

it('at most 30 rows a minute are written, and old ones are deleted', async () => {
  records.length = 0;
  const tracing = startTracing();
  for (let count = 0; count < 50; count++) tracing.addTraces([sampleTrace({ status: 503 })], NOW);
  expect(records).toHaveLength(30);
  tracing.addTraces([sampleTrace({ status: 503 })], NOW + 60_000);
  expect(records).toHaveLength(31);
  const count = async () => (await database.query('SELECT 1 FROM request_traces')).rowCount;
  expect(await count()).toBe(2);
  await maintain(database, { retentionMs: 86_400_000, now: NOW / 1_000 + 3_600 });
  expect(await count()).toBe(2);
  await maintain(database, { retentionMs: 86_400_000, now: NOW / 1_000 + 2 * 86_400 });
  expect(await count()).toBe(0);
});
