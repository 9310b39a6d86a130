import type { ServiceView, View } from '../shared/view.ts';
import type { Edge } from './edge.ts';
import type { IncomingRequest } from './incoming-request.ts';

/** One client request for one service, as it passes through the steps of `handle.ts`. */
export interface RequestContext {
  readonly incoming: IncomingRequest;
  readonly view: View;
  readonly service: ServiceView;
  readonly edge: Edge;
  readonly ctx: ExecutionContext;
}
