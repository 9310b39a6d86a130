import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { checkPanels, EMPTY_IN_PEACE } from '../../deploy/grafana/check.ts';
import { startStack } from '../harness/stack.ts';

const hasPrometheus = spawnSync('prometheus', ['--version']).status === 0;

test.skipIf(!hasPrometheus)(
  'every panel of the dashboards shows something of a stack that runs',
  async () => {
    const stack = await startStack();
    try {
      const results = await checkPanels(stack.stack);
      const silent = results.filter(({ panel, found }) => !(Number(found) > 0) && !EMPTY_IN_PEACE.has(panel));
      expect(silent).toEqual([]);
    } finally {
      await stack.stop();
    }
  },
  180_000,
);
