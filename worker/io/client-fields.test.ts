import { expect, test } from 'vitest';
import { ClientFields } from './client-fields.ts';

test('a field is found by its name in lower case; one that is absent or named like a property is null', () => {
  const fields = new ClientFields(new Headers({ Host: 'a.example', Cookie: 'x=1' }));
  expect(fields.get('host')).toBe('a.example');
  expect(fields.get('cookie')).toBe('x=1');
  for (const name of ['accept', '-1', 'length', 'constructor']) expect(fields.get(name)).toBeNull();
  expect(fields.bytes).toBe('host: a.example\r\ncookie: x=1\r\n'.length);
});
