import { expect, test } from 'vitest';
import { nextFrame, type StateDelta, type StatusFrame } from '../state-delta.ts';
import type { StatusDocument, StatusInstance, StatusService } from '../status.ts';
import { withNews } from './news.js';

const quiet = { perSecond: 0, errorPercent: null, p50: null, p95: null, p99: null };
const traffic = { ...quiet, history: { perSecond: [], errorPercent: [], p95: [] } };
const instance = (id: string, more: Partial<StatusInstance> = {}): StatusInstance => ({
  ...{
    id,
    service: 'gs',
    url: 'http://127.0.0.1:8004',
    origin: 'file',
    state: 'up',
    reason: 'fine',
    since: 1,
  },
  ...{ health: 'up', breaker: 'closed', admin: 'ready', weight: 100, priority: 1, latencyMs: 1 },
  ...{ inflight: 0, queued: 0, traffic: quiet, ...more },
});
const service = (id: string, instances: StatusInstance[]): StatusService => ({
  ...{ id, routes: [`/${id}`], timeoutMs: 1, maxconn: 1, traffic, inflight: 0, queued: 0, instances },
});
const statusOf = (at: number, ...services: StatusService[]): StatusDocument => ({
  ...{ version: '1', site: 'main', startedAt: 0, ready: true, leader: { role: 'single', holder: null }, at },
  ...{ snapshot: { epoch: 1, seq: 1, publishedAt: null, error: null }, sinks: {}, services, changes: [] },
  total: { ...traffic, inflight: 0, queued: 0 },
  edge: { isolates: 0, lastReport: null, oldest: null, newest: null, requests: [], limits: [] },
});
const wholeOf = (frame: StatusFrame): StatusDocument => JSON.parse(frame.whole());
const newsOf = (frame: StatusFrame): StateDelta => JSON.parse(frame.news ?? 'null');

test('news upon the status before is the status now: changed, new and gone instances, heads, and the rest', () => {
  const first = statusOf(1, service('gs', [instance('a'), instance('b')]), service('ac', [instance('c')]));
  const then = nextFrame(null, first);
  expect(then.news).toBeNull();
  expect(wholeOf(then)).toEqual(first);
  const second = statusOf(
    2,
    { ...service('gs', [instance('b', { state: 'down', reason: 'gone' }), instance('d')]), inflight: 3 },
    service('ac', [instance('c')]),
  );
  const now = nextFrame(then, second);
  const news = newsOf(now);
  expect(news.top).toEqual({ at: 2 });
  expect(news.services.map(({ id, instances, gone }) => [id, instances.map((one) => one.id), gone])).toEqual([
    ['gs', ['b', 'd'], ['a']],
  ]);
  expect(withNews(first, news)).toEqual(second);
});

test('other services than before: no news, the whole is sent', () => {
  const then = nextFrame(null, statusOf(1, service('gs', [])));
  expect(nextFrame(then, statusOf(2, service('gs', []), service('ac', []))).news).toBeNull();
});

test('of hundreds of instances a judgement is told at once, figures every few frames, and both come to the same', () => {
  const fleet = (at: number, inflight: number, state: StatusInstance['state'] = 'up') =>
    statusOf(
      at,
      service('gs', [
        instance('first', { state, inflight }),
        ...Array.from({ length: 450 }, (_, index) => instance(`i${index}`, { inflight })),
      ]),
    );
  let frame = nextFrame(null, fleet(1, 0));
  let seen = wholeOf(frame);
  const told: number[] = [];
  for (let at = 2; at <= 6; at++) {
    frame = nextFrame(frame, fleet(at, at, at === 4 ? 'down' : 'up'));
    const news = newsOf(frame);
    told.push(news.services[0]?.instances.length ?? 0);
    seen = withNews(seen, news);
    expect(seen).toEqual(wholeOf(frame));
  }
  expect(told).toEqual([0, 451, 1, 1, 451]);
  expect(seen).toEqual(fleet(6, 6));
});
