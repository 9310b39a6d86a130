import { isGatewayUnreachable } from '../../shared/retry.ts';

const TIMEOUT_MS = 1_000;

/** Whether an HTTP server answers at this origin, with any status. Our gateways answer this path with an error. */
export async function isOriginReachable(origin: string): Promise<boolean> {
  try {
    const response = await fetch(`${origin}/__acgs/`, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await response.body?.cancel();
    return !isGatewayUnreachable(response.status);
  } catch {
    return false;
  }
}
