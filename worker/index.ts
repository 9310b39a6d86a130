import { errorMessage } from '../shared/error-message.ts';
import { createEdge, type Edge } from './edge.ts';
import type { Env } from './env.ts';
import { handle } from './handle.ts';
import { problemResponse } from './problem.ts';

export { Limiter } from './limiter.ts';
export { SnapshotHub } from './snapshots/hub.ts';

let edge: Edge | undefined;

export default {
  fetch(request, env, ctx): Promise<Response> {
    return edge ? handle(request, edge, ctx) : handleFirst(request, env, ctx);
  },
} satisfies ExportedHandler<Env>;

/** Handles a request of a new isolate, which has no `edge` yet. */
async function handleFirst(request: Request, env: Env, ctx: ExecutionContext): Promise<Response> {
  try {
    const made = await createEdge(env);
    // Concurrent first requests each create one. The first is kept.
    edge ??= made;
  } catch (error) {
    // Names the invalid variable or secret and what it must be, never its value.
    const detail = errorMessage(error);
    console.error(JSON.stringify({ event: 'misconfigured', detail }));
    return problemResponse({ title: 'Misconfigured edge', status: 500, detail });
  }
  return handle(request, edge, ctx);
}
