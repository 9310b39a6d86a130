import { coversPath } from './path.ts';
import type { SnapshotService } from './snapshot/snapshot.ts';

/** The default of `longLived.idle`: milliseconds of silence after which an event stream or a held answer ends. */
export const DEFAULT_IDLE_MS = 300_000;

/** A request by its path without query, and whether it asks for an event stream or a WebSocket. */
interface RequestKind {
  readonly path: string;
  readonly isWebSocket: boolean;
  readonly wantsEventStream: boolean;
}

/** How a service treats requests whose connection stays open for long. HAProxy applies the same rules. */
export interface LongLivedRules {
  covers(request: RequestKind): boolean;
  /** How long to wait for the response headers of such a request, in milliseconds. A WebSocket is accepted at once. */
  headersTimeout(request: Pick<RequestKind, 'isWebSocket'>): number;
}

export function compileLongLived({
  timeout,
  longLived = {},
}: Pick<SnapshotService, 'timeout' | 'longLived'>): LongLivedRules {
  const { idle = DEFAULT_IDLE_MS, paths = [] } = longLived;
  return {
    covers: ({ path, isWebSocket, wantsEventStream }) =>
      isWebSocket || wantsEventStream || paths.some((prefix) => coversPath(prefix, path)),
    headersTimeout: ({ isWebSocket }) => (isWebSocket ? timeout : idle),
  };
}

/** Whether an Accept field names event streams. Like HAProxy, it does not match a type with parameters. */
export const acceptsEventStream = (accept: string | null): boolean =>
  accept?.toLowerCase().includes(EVENT_STREAM) === true &&
  accept.split(',').some((type) => type.trim().toLowerCase() === EVENT_STREAM);

const EVENT_STREAM = 'text/event-stream';
