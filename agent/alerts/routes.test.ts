import { OpenAPIHono } from '@hono/zod-openapi';
import { expect, test } from 'vitest';
import type { Alerts } from './alerts.ts';
import { registerAlertRoutes } from './routes.ts';

test('words that no text in Postgres can hold are refused: kept, they would hold up every order after them', async () => {
  const taken: unknown[] = [];
  const silence: Alerts['silence'] = (wish) => {
    taken.push(wish);
    return { id: 'a', ...wish };
  };
  const acknowledge: Alerts['acknowledge'] = (id) => {
    taken.push(id);
    return null;
  };
  const app = new OpenAPIHono();
  const alerts = { silence, acknowledge } as Partial<Alerts> as Alerts;
  registerAlertRoutes(app, { alerts, rules: () => [], services: () => [] });
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    return (await app.request(path, { method: 'POST', headers, body: JSON.stringify(body) })).status;
  };
  expect(await post('/v1/alerts/silences', { for: '1h', reason: 'a\0b' })).toBe(400);
  expect(await post('/v1/alerts/a/ack', { by: 'a\0b' })).toBe(400);
  expect(taken).toEqual([]);
  expect(await post('/v1/alerts/silences', { for: '1h', reason: 'a b' })).toBe(201);
  expect(taken).toHaveLength(1);
});
