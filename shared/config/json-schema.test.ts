import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { configJsonSchema } from './json-schema.ts';

it('acgs-lb.schema.json is current (update: npm run schema)', () => {
  const file = new URL('../../acgs-lb.schema.json', import.meta.url);
  expect(readFileSync(file, 'utf8')).toBe(configJsonSchema());
});

it('describes the allowed form of each value', () => {
  const text = configJsonSchema();
  expect(text).toContain('a duration such as 250ms, 10s, 5m, 1h or 7d, from 1ms to 24d');
  expect(text).toContain('"least_response_time"');
  expect(JSON.parse(text)).toMatchObject({ type: 'object', required: ['version', 'site', 'services'] });
});
