import { readFileSync } from 'node:fs';
import type { HealthCheck } from '../../shared/config/config.ts';

/** One instance and its health check. */
export interface ProbeTarget {
  /** `service/instance` */
  key: string;
  service: string;
  instance: string;
  url: string;
  check: HealthCheck;
  /** The instance speaks HTTP/2; without TLS by prior knowledge. */
  http2?: boolean;
  /** Networks to which the host name may resolve. Absent for instances of the file, which are trusted. */
  allowNetworks?: readonly string[];
}

/** What one probe found. The judge decides what it means. */
export interface ProbeObservation {
  ok: boolean;
  latencyMs: number;
  timing?: { connectMs?: number; tlsMs?: number; firstByteMs?: number };
  error?: string;
}

/** Probes one instance repeatedly. */
export interface Probe {
  /** Never rejects: an error is part of the observation. Several calls may run at once. */
  run(): Promise<ProbeObservation>;
  close(): void;
}

export interface ProbeTlsOptions {
  ca?: Buffer;
  cert?: Buffer;
  key?: Buffer;
  servername?: string;
  rejectUnauthorized: boolean;
}

/** Reads the certificate files of a health check. Throws an error that names a file that cannot be read. */
export function readProbeTlsOptions(tls: NonNullable<HealthCheck['tls']>): ProbeTlsOptions {
  return {
    ...(tls.ca ? { ca: readFileSync(tls.ca) } : {}),
    ...(tls.cert ? { cert: readFileSync(tls.cert) } : {}),
    ...(tls.key ? { key: readFileSync(tls.key) } : {}),
    ...(tls.serverName ? { servername: tls.serverName } : {}),
    rejectUnauthorized: tls.verify ?? true,
  };
}
