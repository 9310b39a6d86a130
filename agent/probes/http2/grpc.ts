import type { Dispatcher } from 'undici';

/** The standard health check of gRPC servers (grpc.health.v1), for the server as a whole. */

export const GRPC_HEALTH_PATH = '/grpc.health.v1.Health/Check';

/** The empty request message in gRPC's framing: one byte for the compression, four for the length. */
const EMPTY_MESSAGE = Buffer.alloc(5);
/** The frame of an uncompressed message of less than 256 bytes, before the last byte of its length. */
const SHORT_FRAME = '\0\0\0\0';
/** The tag of the only field of the answer. */
const STATUS_TAG = '\b';

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
  const status = healthStatus(body);
  if (status === null) return 'the response is no message of grpc.health.v1.Health';
  return status === SERVING ? null : `gRPC health is ${STATUS_NAMES[status] ?? status}, expected SERVING`;
}

/** Null: the body is not the framed message. */
function healthStatus(body: string): number | null {
  if (body === '') return 0;
  if (!body.startsWith(SHORT_FRAME) || body.length < SHORT_FRAME.length + 1) return null;
  const message = body.slice(SHORT_FRAME.length + 1);
  // The status in one byte after its tag; 0 if it is absent.
  if (message === '') return 0;
  return message.startsWith(STATUS_TAG) && message.length > 1 ? message.charCodeAt(1) : null;
}
