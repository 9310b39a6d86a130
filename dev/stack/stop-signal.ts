const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The same Ctrl-C arrives more than once: from the terminal, from npm, and from dev/start.mjs. */
const SAME_MS = 1_000;

/**
 * Resolves at the first signal to stop, or when dev/start.mjs, which started us, was killed outright. A signal that
 * comes later than the first one's echoes calls `hurry`.
 */
export function waitForStopSignal(hurry: () => void): Promise<true> {
  return new Promise((resolve) => {
    let first = 0;
    const stop = () => {
      if (!first) first = Date.now();
      else if (Date.now() - first > SAME_MS) hurry();
      resolve(true);
    };
    for (const signal of SIGNALS) process.on(signal, stop);
    const starter = Number(process.env.ACGS_STARTER_PID);
    if (!starter || process.ppid !== starter) return;
    setInterval(() => process.ppid !== starter && stop(), 500).unref();
  });
}
