import { setTimeout as sleep } from 'node:timers/promises';
import type { Config } from '../../shared/config/config.ts';

export interface FirstResponse {
  instance: string;
  status: number;
}

interface ReadinessOptions {
  edge: string;
  edgeToken: string;
  config: Config;
  stopping: () => boolean;
  timeoutMs?: number;
}

/**
 * Waits until the edge has a snapshot with a serving instance, then sends requests until an instance answers. It sends
 * few requests, because each counts against the rate limit. Returns null on a timeout or when the stack stops.
 */
export async function waitForFirstResponse({
  timeoutMs = 45_000,
  ...wait
}: ReadinessOptions): Promise<FirstResponse | null> {
  const deadline = Date.now() + timeoutMs;
  while (!wait.stopping() && Date.now() < deadline) {
    if (!wait.config.edge.publish.ingest || (await hasSnapshot(wait))) {
      const response = await sendRequest(wait);
      if (response) return response;
      await sleep(500);
    }
    await sleep(100);
  }
  return null;
}

async function hasSnapshot({ edge, edgeToken }: ReadinessOptions): Promise<boolean> {
  try {
    const response = await fetch(`${edge}/__acgs/status`, {
      headers: { authorization: `Bearer ${edgeToken}` },
    });
    return response.ok && /"state":\s*"(up|probation)"/.test(await response.text());
  } catch {
    return false;
  }
}

async function sendRequest({ edge, config }: ReadinessOptions): Promise<FirstResponse | null> {
  const service = Object.values(config.services).find(({ instances }) => instances.length > 0);
  const route = service?.routes[0];
  if (!route) return null;
  try {
    const response = await fetch(`${edge}${route === '/' ? '' : route}/health`, {
      redirect: 'manual',
      ...(service.hosts[0] && { headers: { host: service.hosts[0] } }),
    });
    await response.body?.cancel();
    // Any response of an instance proves the path. Only demo instances always answer 200.
    const instance = response.headers.get('x-acgs-instance');
    return instance && response.status !== 429 && response.status < 500
      ? { instance, status: response.status }
      : null;
  } catch {
    return null;
  }
}
