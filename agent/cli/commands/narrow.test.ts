import stringWidth from 'string-width';
import { expect, test } from 'vitest';
import type { Terminal } from '../terminal.ts';
import { formatExplanation } from './explain.ts';
import { formatSession } from './sessions.ts';

const terminal: Terminal = {
  write: () => {},
  error: () => {},
  progressLine: () => {},
  interactive: true,
  showsProgress: false,
  columns: 60,
  rows: 24,
  paint: (_style, text) => text,
};

/** Every line fits the terminal, and continuation lines are indented. */
function expectNarrow(text: string, indent: number): void {
  for (const line of text.split('\n')) expect(stringWidth(line), line).toBeLessThanOrEqual(terminal.columns);
  expect(text).toMatch(new RegExp(`^ {${indent}}\\S`, 'm'));
}

test('explain on a narrow terminal', () => {
  const text = formatExplanation(
    '/api/v1/governance/x',
    {
      service: 'gs',
      route: '/api/v1/governance',
      strategy: 'least_response_time',
      panic: false,
      chosen: 'gs-2',
      why: 'placed by the hash of the session id over those that served when it began (2026-11-24T20:28:53.422Z)',
      limits: ['per-ip', 'per-session', 'everybody-together', 'of-the-whole-site'],
      candidates: [],
    },
    terminal,
  );
  expectNarrow(text, 10);
  expect(text).toContain('why       placed by the hash');
});

test('a session on a narrow terminal, its pins in the order of their names', () => {
  const text = formatSession(
    {
      id: '01a20f3f-412e-7a3c-9c04-5f553d47a578',
      workflowType: 'policy_creation',
      userId: 'ada',
      state: 'active',
      currentStep: 'draft',
      completedSteps: ['initial', 'research'],
      stepDurations: { initial: 4.4, research: 300 },
      stepStartedAt: 0,
      data: {},
      metadata: {},
      pins: { gs: 'gs-2', auth: 'auth-2', integrity: 'integrity-1', ac: 'ac-2' },
      moves: [{ at: 0, service: 'gs', from: 'gs-1', to: 'gs-2', reason: 'gs-1 went down' }],
      createdAt: 0,
      lastActivity: 1,
      totalDuration: null,
      reason: null,
      version: 3,
    },
    terminal,
  );
  expectNarrow(text, 11);
  expect(text.replace(/\n +/g, ' ')).toContain(
    'pins       ac → ac-2, auth → auth-2, gs → gs-2, integrity → integrity-1',
  );
});
