import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { expect, test } from 'vitest';
import { createLeader, type Leader } from '../../agent/core/leader.ts';
import type { Change } from '../../agent/core/state.ts';
import { createHistorySink, type HistorySink } from '../../agent/history/sink.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import type { LiveState } from '../../agent/live/live-state.ts';
import { createRedisLiveState } from '../../agent/live/redis.ts';
import { createLiveSink } from '../../agent/live/sink.ts';
import { type LocalRedis, startRedis } from '../../dev/servers/redis.ts';
import { parseConfig } from '../../shared/config/load.ts';
import { eventually } from '../harness/eventually.ts';
import { sampleInstance } from '../harness/instance.ts';
import { startPostgres } from '../harness/postgres.ts';
import { useServers } from '../harness/use-servers.ts';

/** Two sites with the same service and instance ids, two agents each, on one Redis and one Postgres. */

const log = pino({ level: 'silent' });
let folder: string;
const DAY = 86_400 * 20_000;

interface SiteAgent {
  site: string;
  live: LiveState;
  leader: Leader;
  heard: unknown[];
}
interface SiteStores {
  site: string;
  agents: [SiteAgent, SiteAgent];
  database: Database;
  history: HistorySink;
  liveSink: ReturnType<typeof createLiveSink>;
}

let redis: LocalRedis;
let postgres: Awaited<ReturnType<typeof startPostgres>>;
let near: SiteStores;
let far: SiteStores;

useServers(async () => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-shared-'));
  // The postgres user must be able to read the folder.
  chmodSync(folder, 0o711);
  redis = await startRedis();
  postgres = await startPostgres({ dataDir: join(folder, 'data') });
  [near, far] = [await openSite('near'), await openSite('far')];
}, stop);

async function stop(): Promise<void> {
  for (const { agents, history, liveSink, database } of [near, far]) {
    await history.close(5_000);
    await liveSink.close(1_000);
    for (const { leader, live } of agents) {
      await leader.close();
      await live.close();
    }
    await database.close();
  }
  await redis.stop();
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}

function openAgent(site: string, owner: string): SiteAgent {
  const live = createRedisLiveState({ url: redis.url, site, log, timeoutMs: 10_000 });
  const leader = createLeader({ owner, lease: live, log });
  const heard: unknown[] = [];
  live.subscribe((event) => heard.push(event));
  leader.start({ onChange: () => {} });
  return { site, live, leader, heard };
}

async function openSite(site: string): Promise<SiteStores> {
  const agents: [SiteAgent, SiteAgent] = [openAgent(site, 'a'), openAgent(site, 'b')];
  const config = parseConfig(`version: 1\nsite: { id: ${site} }\nservices: { gs: { routes: [/] } }\n`);
  const database = openDatabase(postgres.url, site, { min: 0, max: 2, idle: 1_000 });
  const stateDir = join(folder, `state-${site}`);
  const history = await createHistorySink({
    database,
    migrateUrl: postgres.url,
    stateDir,
    log,
    flushMs: 1,
  });
  const liveSink = createLiveSink({ live: agents[0].live, config: () => config, log });
  return { site, agents, database, history, liveSink };
}

/** The state of gs-1 at the second `at`; its weight tells the sites apart. */
function accept({ history, liveSink, site }: SiteStores, at: number): void {
  const instance = sampleInstance({ id: 'gs-1', weight: site === 'near' ? 1 : 2 });
  const change: Change = { kind: 'state', service: 'gs', instance: 'gs-1', at, to: 'up', reason: site };
  const row = {
    serviceType: 'gs',
    instanceId: 'gs-1',
    timestamp: at / 1000,
    responseTime: 0.01,
    successCount: 1,
    failureCount: 0,
    currentConnections: 1,
    totalRequests: 1,
    cpuUsage: 1,
    memoryUsage: 1,
  };
  const update = { at, instances: new Map([['gs/gs-1', instance]]), changes: [change], metrics: [row] };
  history.accept(update);
  liveSink.accept(update);
}

const reasons = async ({ database }: SiteStores) => {
  const sql = 'SELECT reason, count(*)::integer AS rows FROM state_events WHERE site = $1 GROUP BY 1';
  return (await database.query<{ reason: string; rows: number }>(sql, [database.site])).rows;
};
const weightOf = async ({ agents: [{ live }] }: SiteStores): Promise<number | undefined> => {
  const text = await live.get(live.keys.instances('gs'));
  return (JSON.parse(text ?? '[]') as { weight: number }[])[0]?.weight;
};
const leaders = ({ agents }: SiteStores): number => agents.filter(({ leader }) => leader.isLeader()).length;

test('each site has its own leader, keys, intents and events', async () => {
  await eventually(() => expect([leaders(near), leaders(far)]).toEqual([1, 1]));
  accept(near, DAY);
  accept(far, DAY);
  await eventually(async () => expect([await weightOf(near), await weightOf(far)]).toEqual([1, 2]));
  await eventually(async () =>
    expect([await reasons(near), await reasons(far)]).toEqual([
      [{ reason: 'near', rows: 1 }],
      [{ reason: 'far', rows: 1 }],
    ]),
  );

  await near.agents[0].live.writeIntent('gs/gs-1', 'order');
  expect(await near.agents[1].live.readIntents()).toEqual({ 'gs/gs-1': 'order' });
  expect(await far.agents[0].live.readIntents()).toEqual({});
  await far.agents[0].live.remove([far.agents[0].live.keys.instances('gs')]);
  expect([await weightOf(near), await weightOf(far)]).toEqual([1, undefined]);
  await eventually(() => expect(near.agents[1].heard).toContainEqual({ kind: 'intent', field: 'gs/gs-1' }));
  expect(far.agents[1].heard).not.toContainEqual({ kind: 'intent', field: 'gs/gs-1' });
});

test('a leader that ends is replaced at its site, and the other site keeps its leader', async () => {
  await eventually(() => expect([leaders(near), leaders(far)]).toEqual([1, 1]));
  const holder = far.agents.find(({ leader }) => leader.isLeader());
  const ended = near.agents.find(({ leader }) => leader.isLeader());
  await ended?.leader.close();
  await eventually(() => expect(leaders(near)).toBe(1));
  expect(ended?.leader.isLeader()).toBe(false);
  expect(holder?.leader.isLeader()).toBe(true);
});

test('both sites survive a killed Redis and a killed Postgres', async () => {
  await eventually(() => expect([leaders(near), leaders(far)]).toEqual([1, 1]));
  // The schema may not be there yet.
  const [written] = await eventually(() => reasons(near));
  const before = written?.rows ?? 0;
  await redis.stop();
  await postgres.stop();
  for (const second of [10, 20]) {
    accept(near, DAY + second * 1000);
    accept(far, DAY + second * 1000);
  }
  const spooled = ({ history }: SiteStores) => history.spoolSize().rows;
  await eventually(() => expect(Math.min(spooled(near), spooled(far))).toBeGreaterThan(0));
  expect([leaders(near), leaders(far)]).toEqual([1, 1]);

  redis = await startRedis({ port: redis.port });
  postgres = await startPostgres({ dataDir: join(folder, 'data'), port: postgres.port });
  await eventually(async () =>
    expect([await reasons(near), await reasons(far)]).toEqual([
      [{ reason: 'near', rows: before + 2 }],
      [{ reason: 'far', rows: before + 2 }],
    ]),
  );
  await eventually(async () => expect([await weightOf(near), await weightOf(far)]).toEqual([1, 2]));
  await eventually(() => expect([leaders(near), leaders(far)]).toEqual([1, 1]));
});
