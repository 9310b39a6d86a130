import { expect, test } from 'vitest';
import { parseApiTokens } from './api-token.ts';

const SECRET = 'a-long-random-text';

test('reads the name, scope and secret of every token', () => {
  expect(parseApiTokens('ACGS_TOKENS', `grafana:read:${SECRET}1, gs-deploy:register/gs:${SECRET}2`)).toEqual([
    { name: 'grafana', scope: { kind: 'read' }, secret: `${SECRET}1` },
    { name: 'gs-deploy', scope: { kind: 'register', service: 'gs' }, secret: `${SECRET}2` },
  ]);
});

test('names every invalid token and shows no secret', () => {
  const value = [
    `a:read:${SECRET}`,
    `a:read:${SECRET}1`,
    `b:root:${SECRET}2`,
    `c:register:${SECRET}3`,
    'd:read:short',
    `admin:read:${SECRET}4`,
    `e:read:${SECRET}`,
    SECRET,
  ].join(',');
  const error = (() => {
    try {
      parseApiTokens('ACGS_TOKENS', value);
    } catch (thrown) {
      return String(thrown);
    }
    return '';
  })();
  expect(error.split('\n')).toHaveLength(7);
  expect(error).toContain('the token a is listed twice');
  expect(error).toContain('the token b has no valid scope');
  expect(error).toContain('the token c has no valid scope');
  expect(error).toContain('the token d needs a secret');
  expect(error).toContain('the token admin has the name of ACGS_TOKEN');
  expect(error).toContain('the token e has the secret of the token a');
  expect(error.replaceAll('the token a ', '')).not.toContain(`${SECRET}1`);
});
