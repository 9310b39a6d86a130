import type { CompiledPolicy } from '../../shared/limits/policy.ts';
import type { Env } from '../env.ts';

/**
 * Cloudflare's own rate-limit binding, for policies that name one: shared by a whole location, approximate, and says
 * only yes or no. An option: asking it costs more than everything else the edge does.
 */
export async function nativeAllows(env: Env, policy: CompiledPolicy, key: string): Promise<boolean> {
  const binding: unknown = policy.native ? Reflect.get(env, policy.native) : undefined;
  if (!isRateLimit(binding)) return true;
  try {
    return (await binding.limit({ key: `${policy.name}/${key}` })).success;
  } catch {
    // Down: the isolate's own limit holds.
    return true;
  }
}

function isRateLimit(value: unknown): value is RateLimit {
  return typeof value === 'object' && value !== null && 'limit' in value && typeof value.limit === 'function';
}
