import { afterEach, expect, test } from 'vitest';
import { EDGE_TOKEN, startEdge, type TestEdge } from '../harness/edge.ts';

let edge: TestEdge | undefined;
afterEach(async () => {
  await edge?.stop();
  edge = undefined;
});

test('guesses of EDGE_TOKEN and forged snapshots are refused with 429 before they are checked', async () => {
  edge = await startEdge();
  const { url } = edge;
  const statusWith = (token: string) =>
    fetch(`${url}/__acgs/status`, { headers: { authorization: `Bearer ${token}` } });
  const forge = () => fetch(`${url}/__acgs/snapshot/main`, { method: 'PUT', body: 'main.AAAA\n{}' });
  expect((await statusWith(EDGE_TOKEN)).status).toBe(200);
  const answers: number[] = [];
  for (let n = 0; n < 12; n++) answers.push((await statusWith(`guess-${n}`)).status, (await forge()).status);
  expect(answers.slice(0, 20)).toEqual(Array(20).fill(401));
  expect(answers.slice(20)).toEqual(Array(4).fill(429));
  const blocked = await statusWith(EDGE_TOKEN);
  expect(blocked.status).toBe(429);
  expect(Number(blocked.headers.get('retry-after'))).toBeGreaterThan(0);
  expect((await fetch(`${url}/__acgs/health`)).status).toBe(200);
});

test('one client cannot flood the edge’s own endpoints', async () => {
  edge = await startEdge();
  const { url } = edge;
  const answers = await Promise.all(Array.from({ length: 400 }, () => fetch(`${url}/__acgs/health`)));
  const admitted = answers.filter(({ status }) => status === 200).length;
  expect(admitted).toBeGreaterThanOrEqual(200);
  expect(answers.filter(({ status }) => status === 429).length).toBe(400 - admitted);
  expect(admitted).toBeLessThan(400);
});
