import { expect, test } from 'vitest';
import { errorMessage } from './error-message.ts';

const cycle: { self?: object } = {};
cycle.self = cycle;

test.each<[unknown, string]>([
  [new Error('full'), 'full'],
  [Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
  ['text', 'text'],
  [null, 'null'],
  [{ message: 'from another thread' }, 'from another thread'],
  [{ name: 'ErrnoError', errno: 51 }, '{"name":"ErrnoError","errno":51}'],
  [cycle, '[object Object]'],
])('the message of %o', (thrown, text) => {
  expect(errorMessage(thrown)).toBe(text);
});
