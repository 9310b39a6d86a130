import { OpenAPIHono } from '@hono/zod-openapi';
import { expect, test } from 'vitest';
import type { AlertManager } from '../../../alerting/alert-manager.ts';
import { registerAlertRoutes } from './alerts.ts';

test('text that Postgres cannot store is rejected', async () => {
  const accepted: unknown[] = [];
  const silence: AlertManager['addSilence'] = (wanted) => {
    accepted.push(wanted);
    return { id: 'a', ...wanted };
  };
  const acknowledge: AlertManager['acknowledge'] = (id) => {
    accepted.push(id);
    return null;
  };
  const app = new OpenAPIHono();
  const alerts = { addSilence: silence, acknowledge } as Partial<AlertManager> as AlertManager;
  registerAlertRoutes(app, { alerts, rules: () => [], services: () => [] });
  const post = async (path: string, body: object) => {
    const headers = { 'content-type': 'application/json' };
    return (await app.request(path, { method: 'POST', headers, body: JSON.stringify(body) })).status;
  };
  expect(await post('/v1/alerts/silences', { for: '1h', reason: 'a\0b' })).toBe(400);
  expect(await post('/v1/alerts/a/ack', { by: 'a\0b' })).toBe(400);
  expect(accepted).toEqual([]);
  expect(await post('/v1/alerts/silences', { for: '1h', reason: 'a b' })).toBe(201);
  expect(accepted).toHaveLength(1);
});
