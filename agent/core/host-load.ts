import os from 'node:os';

/** Load of the agent's host, in percent. */
export interface HostLoad {
  cpuPercent: number;
  memoryPercent: number;
}

/** Each call returns the CPU use since the previous call (at first: since boot) and the memory in use now. */
export function createHostLoad(cpus = os.cpus, freemem = os.freemem, totalmem = os.totalmem): () => HostLoad {
  let before = { busy: 0, total: 0 };
  return () => {
    const after = { busy: 0, total: 0 };
    for (const { times } of cpus()) {
      const total = times.user + times.nice + times.sys + times.idle + times.irq;
      after.total += total;
      after.busy += total - times.idle;
    }
    const elapsed = after.total - before.total;
    const cpuPercent = elapsed > 0 ? (100 * (after.busy - before.busy)) / elapsed : 0;
    before = after;
    return { cpuPercent, memoryPercent: 100 * (1 - freemem() / totalmem()) };
  };
}
