import { createEdge, type Edge } from './edge.ts';
import type { Env } from './env.ts';
import { handle } from './handle.ts';
import { problemResponse } from './problem.ts';

export { Limiter } from './limiter.ts';
export { SnapshotHub } from './snapshot-hub.ts';

let edge: Edge | undefined;

export default {
  async fetch(request, env, ctx): Promise<Response> {
    try {
      if (!edge) {
        const made = await createEdge(env);
        // Requests that came meanwhile made their own: the first stays, with what it has counted.
        edge ??= made;
      }
    } catch (error) {
      // A variable or secret that cannot be read: says which and what it must be, never its value.
      const detail = error instanceof Error ? error.message : String(error);
      console.error(JSON.stringify({ event: 'misconfigured', detail }));
      return problemResponse({ title: 'Misconfigured edge', status: 500, detail });
    }
    return handle(request, edge, ctx);
  },
} satisfies ExportedHandler<Env>;
