import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import { formatProgress, rollUpProgress, withProgress } from './progress.ts';
import { createTerminal, type Terminal } from './terminal.ts';

const look = (columns: number) => ({ columns, paint: (_: unknown, text: string) => text });
const count = { done: 167, total: 288, unit: 'hours' };

test('countable work shows a bar, other work a spinner with its age', () => {
  expect(formatProgress({ step: 'rolling up', since: 0, count }, 1_000, look(100))).toBe(
    `rolling up  ${'━'.repeat(14)}${'─'.repeat(10)}  57 %  167 of 288 hours`,
  );
  expect(formatProgress({ step: 'rolling up', since: 0, count }, 16_700, look(100))).toMatch(/, 12s left$/);
  expect(formatProgress({ step: 'reading', since: 0 }, 4_000, look(100))).toMatch(/^. reading {2}4s$/);
});

test.each([80, 60, 45, 20, 8])('fits one line of %i columns', (columns) => {
  for (const one of [{}, { count }]) {
    const line = formatProgress(
      { step: 'a step with a rather long name', since: 0, ...one },
      9_000,
      look(columns),
    );
    expect(stringWidth(line)).toBeLessThan(columns);
  }
});

/** A terminal that records standard error. */
function terminal(isTTY: boolean, env: NodeJS.ProcessEnv = {}): { terminal: Terminal; written: string[] } {
  const written: string[] = [];
  const stream = { isTTY, columns: 80, rows: 24, write: (text: string) => written.push(text) > 0 };
  const fake = createTerminal({ ...stream, isTTY: false }, stream, env);
  return { terminal: fake, written };
}

async function work(terminal: Terminal): Promise<string> {
  let clock = 0;
  return withProgress(
    terminal,
    async (report) => {
      for (let done = 0; done < 5; done++) {
        clock += 250;
        report('counting', done, 5);
      }
      return 'done';
    },
    () => clock,
  );
}

test('progress appears on a terminal and is removed at the end', async () => {
  const { terminal: shown, written } = terminal(true);
  expect(await work(shown)).toBe('done');
  expect(written.join('')).toContain('counting  ━');
  expect(written.at(-1)).toBe('\r\x1b[K');
});

test('nothing is written without a terminal or on a dumb terminal', async () => {
  for (const { terminal: dumb, written } of [terminal(false), terminal(true, { TERM: 'dumb' })]) {
    expect(await work(dumb)).toBe('done');
    expect(written).toEqual([]);
  }
});

test('failed work removes its progress line, and other output gets its own line', async () => {
  const { terminal: shown, written } = terminal(true);
  shown.progressLine('busy');
  shown.error('a note');
  expect(written).toEqual(['\rbusy\x1b[K', '\r\x1b[K', 'a note\n']);
  const failing = withProgress(shown, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(written).toHaveLength(3);
});

test('the first report of remaining hours or days is the total', () => {
  const reports: unknown[] = [];
  const onProgress = rollUpProgress((...all) => void reports.push(all));
  for (const left of [
    { hours: 2, days: 0 },
    { hours: 1, days: 0 },
    { hours: 0, days: 1 },
  ])
    onProgress(left);
  expect(reports).toEqual([
    ['rolling up hours', 0, 2],
    ['rolling up hours', 1, 2],
    ['rolling up days', 0, 1],
  ]);
});
