import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { createTrafficWindow } from '../../core/traffic-window.ts';
import type { AgentStatus } from '../schemas/status.ts';
import { createStatusView } from './status.ts';
import { createStatusStream, messageIntervalMs } from './status-stream.ts';

const config = parseConfig(readFileSync(new URL('../../../acgs-lb.yaml', import.meta.url), 'utf8'));
const agent: AgentStatus = {
  version: '1',
  site: 'main',
  startedAt: 0,
  ready: true,
  leader: { role: 'single', holder: null },
  snapshot: { epoch: 1, seq: 1, publishedAt: null, error: null },
  alerts: [],
  sources: [],
  sinks: {},
};

test('all viewers share one document; a late viewer gets the latest; a change sends the next one early', async () => {
  const view = createStatusView({ config: () => config, window: createTrafficWindow() });
  let made = 0;
  const stream = createStatusStream(
    () => {
      made++;
      return view.status(agent);
    },
    () => 0,
  );
  const [first, same] = await Promise.all([stream.next(0), stream.next(0)]);
  expect(same).toBe(first);
  expect(await stream.next(0)).toBe(first);
  expect(JSON.parse(first.text)).toMatchObject({ site: 'main' });
  const second = stream.next(1);
  stream.changed();
  expect((await second).number).toBe(2);
  expect(made).toBe(2);
});

test('larger installations get fewer messages, one per five seconds at least', () => {
  expect([0, 14, 200, 500, 5_000].map(messageIntervalMs)).toEqual([1_000, 1_000, 1_000, 3_000, 5_000]);
});
