import type { Dispatcher } from 'undici';

/** The standard health check of gRPC servers (grpc.health.v1), for the server as a whole. */

export const GRPC_HEALTH_PATH = '/grpc.health.v1.Health/Check';

/** The empty request message in gRPC's framing: one byte for the compression, four for the length. */
const EMPTY_MESSAGE = Buffer.alloc(5);
const FRAME_BYTES = 5;

const SERVING = 1;
const STATUS_NAMES = ['UNKNOWN', 'SERVING', 'NOT_SERVING', 'SERVICE_UNKNOWN'];
/** The server has no such service. */
const UNIMPLEMENTED = '12';

export const grpcHealthRequest = (headers: Record<string, string>): Dispatcher.DispatchOptions => ({
  path: GRPC_HEALTH_PATH,
  method: 'POST',
  headers: { ...headers, 'content-type': 'application/grpc', te: 'trailers' },
  body: EMPTY_MESSAGE,
});

export interface GrpcAnswer {
  httpStatus: number;
  /** From the trailers, or from the header of a response without a message. */
  grpcStatus: string | undefined;
  /** The framed message. */
  body: string;
}

/** Why the server does not serve; null if it does. */
export function grpcHealthError({ httpStatus, grpcStatus, body }: GrpcAnswer): string | null {
  if (httpStatus !== 200) return `status ${httpStatus}, expected 200 from a gRPC server`;
  if (grpcStatus === undefined) return 'the response has no grpc-status';
  if (grpcStatus === UNIMPLEMENTED) return 'grpc-status 12: the server has no service grpc.health.v1.Health';
  if (grpcStatus !== '0') return `grpc-status ${grpcStatus} of grpc.health.v1.Health/Check`;
  // The message has one field: a tag byte, and the status in one byte. Without it the status is 0.
  const status = body.length > FRAME_BYTES + 1 ? body.charCodeAt(FRAME_BYTES + 1) : 0;
  return status === SERVING ? null : `gRPC health is ${STATUS_NAMES[status] ?? status}, expected SERVING`;
}
