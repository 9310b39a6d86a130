import type { Config } from '../../shared/config/config.ts';
import { resolveSecret } from '../../shared/config/secret-references.ts';
import { errorMessage } from '../../shared/error-message.ts';
import type { Log } from '../lib/log.ts';

/**
 * The dead man's switch: requests a URL every interval while the agent works, so that the service behind the URL notices
 * when the requests stop. An agent whose evaluations hang sends none.
 */
export interface Heartbeat {
  start(): void;
  stop(): void;
}

export interface HeartbeatOptions {
  config: () => Config;
  variable: (name: string) => string | undefined;
  isWorking: () => boolean;
  /** The body of a POST. */
  report: () => object;
  log: Log;
  fetch?: typeof globalThis.fetch;
}

/** How soon a heartbeat that is added to the configuration starts. */
const IDLE_MS = 1_000;
const TIMEOUT_MS = 10_000;

export function createHeartbeat(options: HeartbeatOptions): Heartbeat {
  const { config, variable, isWorking, report, log, fetch = globalThis.fetch } = options;
  let timer: NodeJS.Timeout | undefined;
  let lastError: string | null = null;

  async function beat({ url, method }: NonNullable<Config['alerts']['heartbeat']>): Promise<void> {
    const response = await fetch(resolveSecret(url, variable), {
      method,
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
      ...(method === 'POST'
        ? { headers: { 'content-type': 'application/json' }, body: JSON.stringify(report()) }
        : {}),
    });
    await response.body?.cancel();
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
  }

  function settle(error: string | null): void {
    if (error !== null && error !== lastError) log.warn({ error }, 'heartbeat not delivered');
    if (error === null && lastError !== null) log.info('heartbeat delivered again');
    lastError = error;
  }

  function turn(): void {
    const { heartbeat } = config().alerts;
    if (heartbeat && isWorking()) {
      beat(heartbeat).then(
        () => settle(null),
        (error: unknown) => settle(errorMessage(error)),
      );
    }
    timer = setTimeout(turn, heartbeat?.interval ?? IDLE_MS);
    timer.unref();
  }

  return {
    start: turn,
    stop: () => clearTimeout(timer),
  };
}
