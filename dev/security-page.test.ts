import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const page = readFileSync(join(ROOT, 'docs/security.md'), 'utf8');
const [, threats = ''] = page.split('## Threats, defences and their tests\n');
const rows = (threats.split('\n## ')[0] ?? '')
  .split('\n')
  .filter((line) => line.startsWith('| ') && !line.startsWith('| threat |'))
  .map((line) => line.slice(2, -2).split(' | '));
const testsIn = (text: string): string[] =>
  [...text.matchAll(/`([^`\s]+\.test\.ts)`/g)].map(([, path]) => path ?? '');

test('every threat has a defence and a test', () => {
  expect(rows.length).toBeGreaterThan(40);
  const incomplete = rows.filter(
    (cells) => cells.length !== 3 || cells.includes('') || testsIn(cells[2] ?? '').length === 0,
  );
  expect(incomplete).toEqual([]);
});

test('every test that the page names exists', () => {
  expect(testsIn(page).filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
});
