import { z } from '@hono/zod-openapi';
import { expect, test } from 'vitest';
import { describeIssue } from './zod-errors.ts';

const describe = (schema: z.ZodType, value: unknown) =>
  schema.safeParse(value).error?.issues.map(describeIssue).join('; ');

test.each([
  [z.enum(['a', 'b']), 'c', 'must be one of a, b'],
  [z.literal('a'), 'b', 'must be a'],
  [z.string(), undefined, 'is missing'],
  [z.string(), 7, 'must be text'],
  [z.int().min(1), 1.5, 'must be a whole number'],
  [z.coerce.number(), 'abc', 'must be a number'],
  [z.int().min(1), 0, 'must be at least 1'],
  [z.number().max(256), 300, 'must be at most 256'],
  [z.string().min(1), '', 'must not be empty'],
  [z.string().max(2), 'abc', 'must be at most 2 characters'],
  [z.string().startsWith('/'), 'nowhere', 'must begin with /'],
  [z.string().regex(/^a/, 'begins with an a'), 'b', 'begins with an a'],
  [z.union([z.ipv4(), z.ipv6()]), 'nope', 'must be an IPv4 address, or must be an IPv6 address'],
  [z.strictObject({}), { x: 1 }, 'unknown field x'],
  [z.record(z.string().max(1), z.string()), { xy: '' }, 'has a key that must be at most 1 characters'],
])('%#', (schema, value, expected) => {
  expect(describe(schema, value)).toBe(expected);
});
