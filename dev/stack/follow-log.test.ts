import { appendFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { eventually } from '../../test/harness/eventually.ts';
import { developerLine, followLog } from './follow-log.ts';

test('lines that are appended are reported once, whole, also to a file that appears later', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-follow-'));
  const file = join(folder, 'edge.log');
  const lines: string[] = [];
  const stop = followLog(file, (line) => lines.push(line));
  try {
    appendFileSync(file, 'first\nsec');
    await eventually(() => expect(lines).toEqual(['first']));
    appendFileSync(file, 'ond\n');
    await eventually(() => expect(lines).toEqual(['first', 'second']));
  } finally {
    stop();
    rmSync(folder, { recursive: true });
  }
});

test('build errors and logs are shown, requests and tables are not', () => {
  const shown = [
    '\u001b[31m✘ \u001b[41;31m[\u001b[41;97mERROR\u001b[41;31m]\u001b[0m \u001b[1mExpected ";" but found "is"\u001b[0m',
    '    worker/index.ts:12:9:',
    '[wrangler:info] GET /x 200 OK (3ms)',
    'env.SITES ("main")                           Environment Variable      local',
    '',
    '⎔ Reloading local server...',
    '{"event":"misconfigured"}',
  ].flatMap((line) => developerLine(line) ?? []);
  expect(shown).toEqual([
    '✘ [ERROR] Expected ";" but found "is"',
    '    worker/index.ts:12:9:',
    '⎔ Reloading local server...',
    '{"event":"misconfigured"}',
  ]);
});
