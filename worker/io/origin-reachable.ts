import { isGatewayUnreachable } from '../../shared/retry.ts';

const TIMEOUT_MS = 1_000;

/** Whether somebody at this origin speaks HTTP, whatever they say: every gateway of ours refuses this path. */
export async function isOriginReachable(origin: string): Promise<boolean> {
  try {
    const answer = await fetch(`${origin}/__acgs/`, {
      method: 'HEAD',
      redirect: 'manual',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    await answer.body?.cancel();
    return !isGatewayUnreachable(answer.status);
  } catch {
    return false;
  }
}
