import { execFile } from 'node:child_process';

/** Tells systemd how the service is (Type=notify). Without systemd all of it does nothing. */
export interface Systemd {
  ready(): void;
  status(text: string): void;
  stopping(): void;
}

export type NotifySystemd = (message: string) => void;

/**
 * Node cannot open Unix datagram sockets, so the message goes through systemd's own `systemd-notify`; the unit needs
 * `NotifyAccess=all`. The watchdog is fed from this process's event loop at half its time: a loop that hangs starves it.
 */
export function createSystemd(
  variables: NodeJS.ProcessEnv = process.env,
  send: NotifySystemd = systemdNotify,
): Systemd {
  if (!variables.NOTIFY_SOCKET) return { ready: () => {}, status: () => {}, stopping: () => {} };
  const watchdogMs = watchdogTime(variables);
  let timer: NodeJS.Timeout | undefined;
  return {
    ready() {
      send('READY=1');
      if (watchdogMs > 0) timer = setInterval(() => send('WATCHDOG=1'), watchdogMs / 2).unref();
    },
    status: (text) => send(`STATUS=${text.replaceAll('\n', ' ')}`),
    stopping() {
      clearInterval(timer);
      send('STOPPING=1');
    },
  };
}

/** Milliseconds; 0 when the watchdog is off or meant for another process. */
function watchdogTime({ WATCHDOG_USEC, WATCHDOG_PID }: NodeJS.ProcessEnv): number {
  if (WATCHDOG_PID && Number(WATCHDOG_PID) !== process.pid) return 0;
  const ms = Number(WATCHDOG_USEC) / 1000;
  return Number.isFinite(ms) && ms > 0 ? ms : 0;
}

const systemdNotify: NotifySystemd = (message) => {
  execFile('systemd-notify', [message], { timeout: 5_000 }, () => {
    // systemd itself notices a missing READY or WATCHDOG; a failure here has nobody else to tell.
  });
};
