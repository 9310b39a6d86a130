import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { type AgentStatus, createStatusView } from './status.ts';
import { createStatusFrames } from './status-frames.ts';

const config = parseConfig(readFileSync(new URL('../../../acgs-lb.yaml', import.meta.url), 'utf8'));
const agent: AgentStatus = {
  ...{ version: '1', site: 'main', startedAt: 0, ready: true, leader: { role: 'single', holder: null } },
  ...{ snapshot: { epoch: 1, seq: 1, publishedAt: null, error: null }, sinks: {} },
};

test('however many watch, a moment is put into words once; a late one gets it too, and nobody waits for ever', async () => {
  const live = createStatusView({ config: () => config });
  let made = 0;
  const frames = createStatusFrames(
    () => {
      made++;
      return live.status(agent);
    },
    () => 0,
  );
  const first = await Promise.all([frames.next(0), frames.next(0)]);
  expect([made, first.map(({ number }) => number), (await frames.next(0)).number]).toEqual([1, [1, 1], 1]);
  const second = frames.next(1);
  frames.hurry();
  expect((await second).number).toBe(2);
  expect(made).toBe(2);
});
