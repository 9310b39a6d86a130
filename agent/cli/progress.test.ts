import { expect, test } from 'vitest';
import { progressLine, rollUpProgress, withProgress } from './progress.ts';
import { createTerminal, displayWidth, type Terminal } from './terminal.ts';

const look = (columns: number) => ({ columns, paint: (_: unknown, text: string) => text });
const count = { done: 167, total: 288, unit: 'hours' };

test('what can be counted is a bar with its figures, what cannot a spinner with its age', () => {
  expect(progressLine({ step: 'rolling up', since: 0, count }, 1_000, look(100))).toBe(
    `rolling up  ${'━'.repeat(14)}${'─'.repeat(10)}  57 %  167 of 288 hours`,
  );
  expect(progressLine({ step: 'rolling up', since: 0, count }, 16_700, look(100))).toMatch(/, 12s left$/);
  expect(progressLine({ step: 'reading', since: 0 }, 4_000, look(100))).toMatch(/^. reading {2}4s$/);
});

test.each([80, 60, 45, 20, 8])('in %i columns it stays one line', (columns) => {
  for (const one of [{}, { count }]) {
    const line = progressLine(
      { step: 'a step with a rather long name', since: 0, ...one },
      9_000,
      look(columns),
    );
    expect(displayWidth(line)).toBeLessThan(columns);
  }
});

/** A terminal whose standard error is kept. */
function terminal(isTTY: boolean, env: NodeJS.ProcessEnv = {}): { terminal: Terminal; said: string[] } {
  const said: string[] = [];
  const stream = { isTTY, columns: 80, rows: 24, write: (text: string) => said.push(text) > 0 };
  const made = createTerminal({ ...stream, isTTY: false }, stream, env);
  return { terminal: made, said };
}

async function work(terminal: Terminal): Promise<string> {
  let clock = 0;
  return withProgress(
    terminal,
    async (tell) => {
      for (let done = 0; done < 5; done++) {
        clock += 250;
        tell('counting', done, 5);
      }
      return 'done';
    },
    () => clock,
  );
}

test('on a terminal it is shown, and taken away at the end', async () => {
  const { terminal: shown, said } = terminal(true);
  expect(await work(shown)).toBe('done');
  expect(said.join('')).toContain('counting  ━');
  expect(said.at(-1)).toBe('\r\x1b[K');
});

test('nobody looks on, or the terminal cannot: nothing is written', async () => {
  for (const { terminal: blind, said } of [terminal(false), terminal(true, { TERM: 'dumb' })]) {
    expect(await work(blind)).toBe('done');
    expect(said).toEqual([]);
  }
});

test('work that fails leaves nothing behind, and what is written meanwhile stands on a line of its own', async () => {
  const { terminal: shown, said } = terminal(true);
  shown.progressLine('busy');
  shown.error('a note');
  expect(said).toEqual(['\rbusy\x1b[K', '\r\x1b[K', 'a note\n']);
  const failing = withProgress(shown, () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  expect(said).toHaveLength(3);
});

test('of what is left the first word says how much there is', () => {
  const told: unknown[] = [];
  const onProgress = rollUpProgress((...all) => void told.push(all));
  for (const left of [
    { hours: 2, days: 0 },
    { hours: 1, days: 0 },
    { hours: 0, days: 1 },
  ])
    onProgress(left);
  expect(told).toEqual([
    ['rolling up hours', 0, 2],
    ['rolling up hours', 1, 2],
    ['rolling up days', 0, 1],
  ]);
});
