import type { MiddlewareHandler } from 'hono';
import { actorOf } from './actor.ts';
import type { ApiContext } from './context.ts';

const READ_METHODS = new Set(['GET', 'HEAD', 'OPTIONS']);
/** Changes of instances and deployments are recorded where they take effect. The other paths change nothing, or carry counters. */
const NOT_AUDITED = /^\/v1\/(?:services\/|token$|edge-reports$|events$)/;

/** Records every other write that succeeded, with the token that authorised it. */
export function auditWrites({ audit, now }: Pick<ApiContext, 'audit' | 'now'>): MiddlewareHandler {
  return async (context, next) => {
    const { method, path } = context.req;
    await next();
    if (READ_METHODS.has(method) || NOT_AUDITED.test(path) || !context.res.ok) return;
    audit({ at: now(), actor: actorOf(context), action: method.toLowerCase(), target: path.slice(0, 200) });
  };
}
