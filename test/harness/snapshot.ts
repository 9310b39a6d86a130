import type { SnapshotInstance, SnapshotService } from '../../shared/snapshot/snapshot.ts';

/** A service with the built-in defaults, without limits, and with the given differences. */
export function service(part: Partial<SnapshotService> & { instances: SnapshotInstance[] }): SnapshotService {
  return {
    routes: ['/'],
    // Long, because the instances run in the process of the test and the machine may be busy.
    timeout: 60_000,
    deadline: 100_000,
    path: 'gateway',
    strategy: 'round_robin',
    affinity: { by: 'none', ttl: 3_600_000 },
    rateLimits: [],
    access: [],
    slowStart: 0,
    ...part,
    failover: {
      strategy: 'immediate',
      maxAttempts: 3,
      retryBudget: 0.2,
      backoff: 0,
      hedge: false,
      class: 5,
      staleIfError: 0,
      ...part.failover,
    },
  };
}

export function instance(id: string, url: string, part: Partial<SnapshotInstance> = {}): SnapshotInstance {
  return { id, url, state: 'up', reason: 'test', since: 1, ...part };
}
