import { expect, test } from 'vitest';
import { commandBlocks, rewriteForStack } from './docs-blocks.ts';

test('returns only marked blocks', () => {
  const page = ['# x', '```sh check', 'a', 'b', '```', '```sh', 'c', '```', '```sh check', 'd', '```'].join(
    '\n',
  );
  expect(commandBlocks(page)).toEqual([
    { line: 2, text: 'a\nb' },
    { line: 9, text: 'd' },
  ]);
});

test('replaces the shipped ports and paths, and no other number', () => {
  const place = { offset: 100, stateDir: '/s', haproxySocket: '/h.sock', scratch: '/t' };
  expect(rewriteForStack('curl http://127.0.0.1:8787/x localhost:8014 127.0.0.1:5432 :8787', place)).toBe(
    'curl http://127.0.0.1:8887/x localhost:8114 127.0.0.1:5432 :8787',
  );
  expect(rewriteForStack('acgs-lb check -c /etc/acgs-lb/acgs-lb.yaml', place)).toBe(
    'acgs-lb check -c /s/acgs-lb.yaml',
  );
});
