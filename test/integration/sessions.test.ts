import { OpenAPIHono } from '@hono/zod-openapi';
import pino from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import type { Instance } from '../../agent/core/state.ts';
import { type Database, openDatabase } from '../../agent/history/sql/database.ts';
import { migrate } from '../../agent/history/sql/migrate.ts';
import { type ProblemError, problemResponse } from '../../agent/http/api/problem.ts';
import { registerSessionRoutes } from '../../agent/http/api/routes/sessions.ts';
import { createMessageSigner } from '../../agent/lib/message-signer.ts';
import { createMemoryLiveState } from '../../agent/live/memory.ts';
import { createSessions, type Sessions } from '../../agent/sessions/sessions.ts';
import { createSessionStore } from '../../agent/sessions/store.ts';
import type { LocalPostgres } from '../../dev/servers/postgres.ts';
import { eventually } from '../harness/eventually.ts';
import { sampleInstance } from '../harness/instance.ts';
import { startPostgres } from '../harness/postgres.ts';

const log = pino({ level: 'silent' });
const copySigner = createMessageSigner(['a-random-key-of-at-least-32-characters'], 3_600_000);
const instance = (service: string, id: string): Instance =>
  sampleInstance({ id, service, url: `http://${id}:80`, latencyMs: 1 });

let server: LocalPostgres;
let database: Database;
let instances: Map<string, Instance>;
let sessions: Sessions;
let app: OpenAPIHono;
const live = createMemoryLiveState();
beforeAll(async () => {
  server = await startPostgres();
  await migrate(server.url, 'main');
  database = openDatabase(server.url, 'main', { min: 0, max: 4, idle: 1_000 });
});
afterAll(async () => {
  await database.close();
  await server.stop();
});
beforeEach(async () => {
  await database.query('TRUNCATE governance_sessions');
  instances = new Map(['gs-1', 'gs-2'].map((id) => [`gs/${id}`, instance('gs', id)]));
  const store = createSessionStore(database);
  sessions = createSessions({
    copySigner,
    store,
    live,
    instances: () => instances,
    log,
  });
  serve(sessions);
  return () => sessions.close();
});

function serve(served: Sessions): void {
  app = new OpenAPIHono();
  app.onError((error, context) => problemResponse(context, error as ProblemError));
  registerSessionRoutes(app, { sessions: served, instances: () => instances });
}

interface SessionBody {
  id: string;
  state: string;
  version: number;
  pins: Record<string, string>;
  currentStep: string;
  moves: unknown[];
  sessions: SessionBody[];
}

async function call(
  method: string,
  path: string,
  body?: unknown,
): Promise<{ response: Response; body: SessionBody }> {
  const response = await app.request(path, {
    method,
    ...(body === undefined
      ? {}
      : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
  });
  return { response, body: (await response.json()) as SessionBody };
}
const begin = async (userId = 'ada') =>
  (await call('POST', '/v1/sessions', { workflowType: 'policy_creation', userId })).body;

/** Makes two requests read before either of them writes. */
function serveTwoReaders(): Sessions {
  const store = createSessionStore(database);
  const bothRead = Promise.withResolvers<void>();
  let readers = 0;
  const together = createSessions({
    copySigner,
    store: {
      ...store,
      async get(session) {
        const found = await store.get(session);
        if (++readers === 2) bothRead.resolve();
        await bothRead.promise;
        return found;
      },
    },
    live,
    instances: () => instances,
    log,
  });
  serve(together);
  return together;
}

test('of two concurrent advances one wins, the other gets 409 with the current session', async () => {
  const { id, version, pins } = await begin();
  expect(['gs-1', 'gs-2']).toContain(pins.gs);
  const together = serveTwoReaders();
  const both = await Promise.all(
    ['draft', 'review'].map((step) => call('POST', `/v1/sessions/${id}/advance`, { step, version })),
  );
  await together.close();
  expect(both.map(({ response }) => response.status).sort()).toEqual([200, 409]);
  const won = both.find(({ response }) => response.status === 200)?.body;
  const lost = both.find(({ response }) => response.status === 409);
  expect(lost?.response.headers.get('content-type')).toContain('problem+json');
  expect(lost?.body).toMatchObject({ status: 409, id, version: 2, currentStep: won?.currentStep });
});

test('two pins moved concurrently both move', async () => {
  for (const id of ['ac-1', 'ac-2']) instances.set(`ac/${id}`, instance('ac', id));
  const { id, pins } = await begin();
  const other = (service: string) => (pins[service] === `${service}-1` ? `${service}-2` : `${service}-1`);
  const wanted = { gs: other('gs'), ac: other('ac') };
  const put = ([service, to]: [string, string]) =>
    call('PUT', `/v1/sessions/${id}/pins/${service}`, { instance: to });
  const together = serveTwoReaders();
  const answers = await Promise.all(Object.entries(wanted).map(put));
  await together.close();
  expect(answers.map(({ response }) => response.status)).toEqual([200, 200]);
  const { body } = await call('GET', `/v1/sessions/${id}`);
  expect(body.pins).toEqual(wanted);
  expect(body.moves).toHaveLength(2);
});

test('a pin set by an operator is published before the response', async () => {
  const { id, pins } = await begin();
  const other = pins.gs === 'gs-1' ? 'gs-2' : 'gs-1';
  const published: unknown[] = [];
  const publishing = createSessions({
    copySigner,
    store: createSessionStore(database),
    live,
    instances: () => instances,
    log,
    onOverrides: () => published.push(publishing.snapshotPins()),
  });
  serve(publishing);
  const { response } = await call('PUT', `/v1/sessions/${id}/pins/gs`, { instance: other });
  expect(response.status).toBe(200);
  expect(published).toContainEqual({ [id]: { gs: other } });
  await publishing.close();
});

test('an instance that fails during a command moves the session once, and the response has the new pin', async () => {
  const { id, version, pins } = await begin();
  const first = pins.gs ?? '';
  const store = createSessionStore(database);
  // Its own view: the agent of the other tests sees all instances up.
  const seen = new Map(instances);
  const [read, moved] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const slow = createSessions({
    copySigner,
    store: {
      ...store,
      async get(session) {
        const found = await store.get(session);
        read.resolve();
        await moved.promise;
        return found;
      },
    },
    live,
    instances: () => seen,
    log,
  });
  serve(slow);
  const takeDown = () => {
    seen.set(`gs/${first}`, { ...instance('gs', first), state: 'down' });
    slow.accept({ instances: seen, changes: [{}] });
  };
  const step = call('POST', `/v1/sessions/${id}/advance`, { step: 'draft', version });
  await read.promise;
  await eventually(async () => {
    takeDown();
    expect((await store.get(id))?.moves).toHaveLength(1);
  });
  moved.resolve();
  const now = (await step).body;
  expect(now).toMatchObject({ currentStep: 'draft', pins: { gs: first === 'gs-1' ? 'gs-2' : 'gs-1' } });
  slow.accept({ instances: seen, changes: [{}] });
  await slow.close();
  expect((await store.get(id))?.moves).toHaveLength(1);
});

test('a value that Postgres cannot store gets 400, not 503', async () => {
  const post = (more: object) =>
    call('POST', '/v1/sessions', { workflowType: 'policy_creation', userId: 'ada', ...more });
  for (const more of [{ userId: 'a\0b' }, { metadata: { a: '\0' } }, { metadata: { a: '\ud800' } }]) {
    expect((await post(more)).response.status).toBe(400);
  }
  expect((await call('GET', '/v1/sessions/a%00b')).response.status).toBe(400);
});

test('suspend, resume, complete, list and statistics', async () => {
  const { id } = await begin('grace');
  expect((await call('POST', `/v1/sessions/${id}/suspend`, { reason: 'vote' })).body.state).toBe('suspended');
  expect((await call('POST', `/v1/sessions/${id}/advance`, { step: 'x', version: 2 })).response.status).toBe(
    409,
  );
  expect((await call('POST', `/v1/sessions/${id}/resume`, { version: 2 })).body.state).toBe('active');
  expect((await call('POST', `/v1/sessions/${id}/complete`, {})).body).toMatchObject({
    state: 'completed',
    version: 4,
  });
  const { body } = await call('GET', '/v1/sessions?user=grace&state=completed');
  expect(body.sessions.map((session) => session.id)).toEqual([id]);
  expect((await call('GET', '/v1/sessions?user=grace&state=active')).body.sessions).toEqual([]);
  const stats = await call('GET', '/v1/sessions/stats');
  expect(stats.body).toMatchObject({ byState: { completed: 1 } });
  expect((await call('GET', '/v1/sessions/unknown')).response.status).toBe(404);
});

test('a failed instance moves its session once, in the response, the database and the live state', async () => {
  const { id, pins } = await begin();
  const first = pins.gs ?? '';
  const second = first === 'gs-1' ? 'gs-2' : 'gs-1';
  const kill = (name: string, state: 'up' | 'down', at: number) => {
    instances.set(`gs/${name}`, { ...instance('gs', name), state, since: at, servingSince: at });
    sessions.accept({ instances, changes: [{}] });
  };
  kill(first, 'down', Date.now());
  await eventually(async () => {
    expect((await call('GET', `/v1/sessions/${id}`)).body).toMatchObject({
      pins: { gs: second },
      moves: [{ from: first, to: second }],
      version: 1,
    });
  });
  await eventually(async () => expect(await live.get(`lb:session:main:${id}:gs`)).toBe(second));
  kill(first, 'up', Date.now());
  await call('POST', `/v1/sessions/${id}/advance`, { step: 'draft', version: 1 });
  const after = (await call('GET', `/v1/sessions/${id}`)).body;
  expect(after).toMatchObject({ pins: { gs: second }, version: 2 });
  expect(after.moves).toHaveLength(1);
  expect(sessions.snapshotPins()).toEqual({});
});

test('an agent that takes over repeats no move, and undoes none made meanwhile', async () => {
  // It leads too, and its first sweep would move the same session.
  await sessions.close();
  let leads = 'a';
  const agent = (name: string) =>
    createSessions({
      copySigner,
      store: createSessionStore(database),
      live,
      instances: () => instances,
      log,
      isLeader: () => leads === name,
    });
  instances.set('gs/gs-3', instance('gs', 'gs-3'));
  const [a, b] = [agent('a'), agent('b')];
  const { id, pins } = await b.create({ workflowType: 'policy_creation', userId: 'ada', metadata: {} });
  await a.command(id, { do: 'suspend' });
  const first = pins.gs ?? '';
  instances.set(`gs/${first}`, { ...instance('gs', first), state: 'down' });
  for (const each of [b, a]) each.accept({ instances, changes: [{}] });
  await eventually(async () => expect((await a.get(id))?.session.moves).toHaveLength(1));
  const moved = (await a.get(id))?.session.pins.gs ?? '';
  const last = ['gs-1', 'gs-2', 'gs-3'].find((name) => name !== first && name !== moved) ?? '';
  await a.pin(id, 'gs', last);
  leads = 'b';
  // The instance that b still has as the pin fails just when b takes over.
  instances.set(`gs/${moved}`, { ...instance('gs', moved), state: 'down' });
  b.accept({ instances, changes: [{}] });
  await b.close();
  await a.close();
  const after = (await sessions.get(id))?.session;
  expect(after?.pins.gs).toBe(last);
  expect(after?.moves.map(({ from, to }) => [from, to])).toEqual([
    [first, moved],
    [moved, last],
  ]);
});

test('the sweep expires an idle session', async () => {
  const { id } = await begin();
  await database.query('UPDATE governance_sessions SET last_activity = last_activity - 3601 WHERE id = $1', [
    id,
  ]);
  expect((await call('GET', `/v1/sessions/${id}`)).body.state).toBe('expired');
  expect((await call('GET', '/v1/sessions?state=active')).body.sessions).toEqual([]);
  const sweeping = createSessions({
    copySigner,
    store: createSessionStore(database),
    live,
    instances: () => instances,
    log,
  });
  await eventually(async () => {
    const { rows } = await database.query('SELECT state, version FROM governance_sessions WHERE id = $1', [
      id,
    ]);
    expect(rows).toEqual([{ state: 'expired', version: 2 }]);
  });
  await sweeping.close();
});

test('without Postgres, reads use the copy and writes get 503 with Retry-After', async () => {
  const { id } = await begin();
  const away = openDatabase('postgres://absent@127.0.0.1:1/none', 'main', { min: 0, max: 1, idle: 1_000 });
  const store = createSessionStore(away);
  const cut = createSessions({
    copySigner,
    store,
    live,
    instances: () => instances,
    log,
  });
  serve(cut);
  const read = await call('GET', `/v1/sessions/${id}`);
  expect(read.response.status).toBe(200);
  expect(read.response.headers.get('x-acgs-stale')).toBe('1');
  expect(read.body).toMatchObject({ id, state: 'active', version: 1 });
  const write = await call('POST', `/v1/sessions/${id}/advance`, { step: 'x', version: 1 });
  expect(write.response.status).toBe(503);
  expect(Number(write.response.headers.get('retry-after'))).toBeGreaterThan(0);
  // Without a copy, reads get 503 too.
  await live.remove([`governance_session:main:${id}`]);
  expect((await call('GET', `/v1/sessions/${id}`)).response.status).toBe(503);
  await cut.close();
  await away.close();
});
