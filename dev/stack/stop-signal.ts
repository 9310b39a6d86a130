const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** One Ctrl-C arrives several times: from the terminal, from npm and from dev/start.mjs. */
const DUPLICATE_MS = 1_000;

/**
 * Resolves at the first stop signal, or when the parent dev/start.mjs has been killed. A second signal, later than the
 * duplicates of the first, calls `forceStop`.
 */
export function waitForStopSignal(forceStop: () => void): Promise<true> {
  return new Promise((resolve) => {
    let first = 0;
    const stop = () => {
      if (!first) first = Date.now();
      else if (Date.now() - first > DUPLICATE_MS) forceStop();
      resolve(true);
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    const parentPid = Number(process.env.ACGS_STARTER_PID);
    if (!parentPid || process.ppid !== parentPid) return;
    setInterval(() => process.ppid !== parentPid && stop(), 500).unref();
  });
}
