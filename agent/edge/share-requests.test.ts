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
