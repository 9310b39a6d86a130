import pino from 'pino';
import { expect, test, vi } from 'vitest';
import { requestsOf } from '../../test/harness/requests.ts';
import type { RequestDelta } from '../core/requests.ts';
import { createMessageSigner } from '../lib/message-signer.ts';
import { createMemoryLiveState } from '../live/memory.ts';
import { type ReportId, startRequestSharing } from './share-requests.ts';

test('another agent of the site receives the requests and the report id; events of the same agent, other sites and forgers are ignored', async () => {
  const live = createMemoryLiveState();
  const agent = (site: string, owner: string, key = 'k'.repeat(32)) => {
    const requests: RequestDelta[] = [];
    const reports: ReportId[] = [];
    const sharing = startRequestSharing({
      live,
      signer: createMessageSigner([key], 10_000),
      site,
      owner,
      log: pino({ level: 'silent' }),
      onRequests: (deltas) => requests.push(...deltas),
      onReport: (report) => reports.push(report),
    });
    return { sharing, requests, reports };
  };
  const [a, b, far] = [agent('main', 'a'), agent('main', 'b'), agent('far', 'a')];
  const forger = agent('main', 'c', 'f'.repeat(32));
  forger.sharing.share([requestsOf(5, 1_000)], { isolate: 'i', seq: 1_000_000 });
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  const delta = requestsOf(5, 7, 1, { ms: 20 });
  a.sharing.share([delta], { isolate: 'i', seq: 3 });
  await vi.waitFor(() => expect(b.requests).toEqual([delta]), { timeout: 60_000 });
  expect(b.reports).toEqual([{ isolate: 'i', seq: 3 }]);
  expect([...a.requests, ...far.requests]).toEqual([]);
  for (const { sharing } of [a, b, far, forger]) sharing.close();
});

test('requests arrive also after the clock of their agent was set back', async () => {
  const live = createMemoryLiveState();
  const received: RequestDelta[] = [];
  let offset = 0;
  const start = (owner: string, onRequests: (deltas: readonly RequestDelta[]) => void) =>
    startRequestSharing({
      live,
      signer: createMessageSigner(['k'.repeat(32)], 12 * 3_600_000),
      site: 'main',
      owner,
      log: pino({ level: 'silent' }),
      onRequests,
      onReport: () => {},
      now: () => Date.now() + (owner === 'a' ? offset : 0),
    });
  const [a, b] = [start('a', () => {}), start('b', (deltas) => received.push(...deltas))];
  for (const hours of [0, -1]) {
    offset = hours * 3_600_000;
    a.share([requestsOf(5, 1_000)], { isolate: 'i', seq: hours + 1 });
    await vi.waitFor(() => expect(received).toHaveLength(1), { timeout: 60_000 });
    received.length = 0;
  }
  for (const sharing of [a, b]) sharing.close();
});
