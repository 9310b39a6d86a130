import { gunzipSync } from 'node:zlib';
import { Hono } from 'hono';
import { expect, test } from 'vitest';
import { acceptsGzip, compressLarge } from './compress.ts';

const app = new Hono();
app.use('*', compressLarge);
app.get('/large', (context) => context.json({ text: 'x'.repeat(5_000) }));
app.get('/small', (context) => context.json({ text: 'x' }));
app.get('/error', (context) => context.json({ text: 'x'.repeat(5_000) }, 500));

const get = (path: string, encoding?: string) =>
  app.request(path, { headers: encoding === undefined ? {} : { 'accept-encoding': encoding } });

test('compresses a large response for a client that asks for it', async () => {
  const response = await get('/large', 'gzip, br');
  expect(response.headers.get('content-encoding')).toBe('gzip');
  expect(response.headers.get('content-type')).toContain('application/json');
  expect(response.headers.get('vary')).toBe('accept-encoding');
  const packed = Buffer.from(await response.arrayBuffer());
  expect(packed.length).toBeLessThan(500);
  expect(JSON.parse(gunzipSync(packed).toString())).toEqual({ text: 'x'.repeat(5_000) });
});

test('leaves small responses, errors and other clients alone', async () => {
  for (const [path, encoding] of [
    ['/large', undefined],
    ['/large', 'gzip;q=0, *'],
    ['/large', 'br'],
    ['/small', 'gzip'],
    ['/error', 'gzip'],
  ] as const) {
    const response = await get(path, encoding);
    expect(response.headers.get('content-encoding'), `${path} ${encoding}`).toBeNull();
    expect(await response.json()).toHaveProperty('text');
  }
});

test('reads Accept-Encoding', () => {
  for (const field of [
    'gzip',
    'GZIP',
    'x-gzip',
    'br;q=1, gzip;q=0.2',
    '*',
    'gzip, identity',
    'identity;q=0.5, *;q=1',
  ])
    expect(acceptsGzip(field), field).toBe(true);
  for (const field of ['', 'identity', 'gzip; q=0', '*;q=0', 'br', 'gzip;q=0.5, identity', 'gzip;q=x'])
    expect(acceptsGzip(field), field).toBe(false);
});
