import { errorMessage } from '../../shared/error-message.ts';

/** The instance sent something that is not HTTP/1.1. The message says what. */
export class HttpSyntaxError extends Error {}

/** Texts for system errors. An error that is not listed keeps its own message. */
const ERROR_TEXT: { [code: string]: string } = {
  ECONNREFUSED: 'connect refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  UND_ERR_SOCKET: 'connection closed before the response',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connect timed out',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name lookup failed temporarily',
  EADDRNOTAVAIL: 'no local port left',
  EMFILE: 'this agent has no file descriptor left',
  ENFILE: 'this machine has no file descriptor left',
  ENOBUFS: 'this machine has no memory left for a connection',
  ENOMEM: 'this machine has no memory left for a connection',
  CERT_HAS_EXPIRED: 'certificate expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate is self-signed',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate signed by an unknown authority',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate chain is self-signed',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate is for another name',
};

const FAILURE_KINDS = ['connection closed', ...new Set(Object.values(ERROR_TEXT))];

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** "connect refused 127.0.0.1:8004" */
export function probeError(error: unknown, host: string): string {
  const code = errorCode(error);
  const known = code ? ERROR_TEXT[code] : undefined;
  if (known) return `${known} ${host}`;
  if (error instanceof HttpSyntaxError) return `response of ${host} is not HTTP (${error.message})`;
  return `${errorMessage(error)} ${host}`.slice(0, 200);
}

/** The agent's host could not make the probe, so the error says nothing about the instance. */
export const isLocalShortage = (error: string | undefined): boolean =>
  error !== undefined && /^this (agent|machine) has no /.test(error);

/** The instance refused or closed the connection at once, so the next probe can follow after 0.1 s. */
export const isImmediateRefusal = (error: string | undefined): boolean =>
  error !== undefined && /^connect(ion)? (refused|reset|closed)/.test(error);

/**
 * The kind of a failed probe, without the names and values of its text: "connect refused", "status 503". There are few
 * kinds, so counts by kind stay small.
 */
export function failureKind(error: string): string {
  const status = /^status \d{3}/.exec(error)?.[0];
  if (status !== undefined) return status;
  if (/^no (response|connection) /.test(error)) return 'timed out';
  if (/^response of /.test(error)) return 'not HTTP';
  if (/grpc/i.test(error)) return 'gRPC health';
  if (/^body |, expected /.test(error)) return 'unexpected body';
  return FAILURE_KINDS.find((kind) => error.startsWith(kind)) ?? 'other';
}
