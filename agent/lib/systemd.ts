import { execFile } from 'node:child_process';

/** Notifies systemd of the service state (Type=notify). Without systemd the methods do nothing. */
export interface Systemd {
  ready(): void;
  stopping(): void;
}

export type NotifySystemd = (message: string) => void;

/**
 * Node cannot open Unix datagram sockets, so messages go through `systemd-notify`; the unit needs `NotifyAccess=all`. The
 * event loop pings the watchdog at half its timeout, so systemd restarts a process whose event loop hangs.
 */
export function createSystemd(
  variables: NodeJS.ProcessEnv = process.env,
  send: NotifySystemd = systemdNotify,
): Systemd {
  if (!variables.NOTIFY_SOCKET) return { ready: () => {}, stopping: () => {} };
  const watchdogMs = watchdogTimeout(variables);
  let timer: NodeJS.Timeout | undefined;
  return {
    ready() {
      send('READY=1');
      if (watchdogMs > 0) timer = setInterval(() => send('WATCHDOG=1'), watchdogMs / 2).unref();
    },
    stopping() {
      clearInterval(timer);
      send('STOPPING=1');
    },
  };
}

/** Milliseconds; 0 if the watchdog is off or is for another process. */
function watchdogTimeout({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): number {
  if (WATCHDOG_PID && Number(WATCHDOG_PID) !== process.pid) return 0;
  const ms = Number(WATCHDOG_USEC) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}

const systemdNotify: NotifySystemd = (message) => {
  execFile('systemd-notify', [message], { timeout: 5_000 }, () => {
    // systemd notices a missing READY or WATCHDOG message by itself.
  });
};
