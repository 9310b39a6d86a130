import stringWidth from 'fast-string-width';
import { expect, test } from 'vitest';
import { readHistory } from '../history/series/series.ts';
import { type ApiHistory, historySchema } from '../http/schemas/history.ts';
import { formatHistory } from './history-text.ts';
import { createTerminal } from './terminal.ts';

const FROM = Date.UTC(2026, 10, 28, 12);
const terminal = createTerminal({ isTTY: true, columns: 80, rows: 24, write: () => true }, undefined, {
  NO_COLOR: '1',
});

/** Half an hour of an instance from a database that has one minute. */
async function oneMinute(): Promise<ApiHistory> {
  const row = {
    slot: 3,
    requests: 1234,
    failed: 12,
    attempts: 1234,
    samples: 12,
    up_samples: 6,
    probes: 6,
    probes_failed: 6,
  };
  const database = {
    site: 'main',
    query: async (text: string) => ({
      rows: (text.includes('queued_max') ? [row] : []) as never[],
      rowCount: 0,
    }),
  };
  const range = { from: FROM, to: FROM + 1_800_000, now: FROM + 1_800_000 };
  const history = await readHistory(database, { service: 'gs', instance: 'gs-1', ...range }, []);
  return historySchema.parse(history);
}

test('fits 80 columns, shows only what happened, and the events oldest first', async () => {
  const event = { id: 's1', at: FROM, kind: 'state', service: 'gs', instance: 'gs-1', to: 'down' } as const;
  const events = [
    { ...event, at: FROM + 60_000, reason: 'second' },
    { ...event, reason: 'first' },
  ];
  const text = formatHistory(await oneMinute(), events, terminal);
  const lines = text.split('\n');
  for (const line of lines) expect(stringWidth(line)).toBeLessThanOrEqual(80);
  expect(lines[0]).toBe('gs/gs-1  2026-11-28 12:00 to 2026-11-28 12:30 UTC');
  expect(text).toMatch(/^attempts +1,234 +1,234 {2}···█·+$/m);
  expect(text).toMatch(/^errors +0\.97 % /m);
  expect(text).toMatch(/^available +50\.00 % /m);
  expect(text).toMatch(/^probes failed +6 /m);
  expect(text).not.toMatch(/^(retries|limited|breaker)/m);
  expect(text).toMatch(
    /2026-11-28 12:00:00 {2}gs\/gs-1 {2}state down {2}first\n2026-11-28 12:01:00 .* second$/,
  );
});
