/** System errors as an operator reads them; what is not listed keeps its own message. */
const ERROR_TEXT: { [code: string]: string } = {
  ECONNREFUSED: 'connect refused',
  ECONNRESET: 'connection reset',
  EPIPE: 'connection reset',
  UND_ERR_SOCKET: 'connection closed before the answer',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'network unreachable',
  ETIMEDOUT: 'connect timed out',
  ENOTFOUND: 'host name not found',
  EAI_AGAIN: 'host name could not be looked up',
  EADDRNOTAVAIL: 'no local address left',
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

export function errorCode(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

/** "connect refused 127.0.0.1:8004" */
export function probeError(error: unknown, host: string): string {
  const code = errorCode(error);
  const known = code ? ERROR_TEXT[code] : undefined;
  if (known) return `${known} ${host}`;
  if (code?.startsWith('HPE_')) return `answer of ${host} is not HTTP (${code})`;
  return `${error instanceof Error ? error.message : String(error)} ${host}`.slice(0, 200);
}

/** The probe was not made: it tells of this machine, and nothing of the instance. */
export const isLocalShortage = (error: string | undefined): boolean =>
  error !== undefined && /^this (agent|machine) has no /.test(error);

/** The instance itself said no, at once: worth asking again in a tenth of a second, not in a second. */
export const isImmediateRefusal = (error: string | undefined): boolean =>
  error !== undefined && /^connect(ion)? (refused|reset|closed)/.test(error);
