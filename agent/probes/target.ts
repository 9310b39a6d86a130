import { readFileSync } from 'node:fs';
import type { HealthCheck } from '../../shared/config/config.ts';

/** One instance to probe, and how. */
export interface ProbeTarget {
  /** `service/instance` */
  key: string;
  service: string;
  instance: string;
  url: string;
  check: HealthCheck;
  /** Networks its host name may resolve to; absent for instances of the file, whose author is trusted. */
  allowNetworks?: readonly string[];
}

/** A probe returns evidence, never a verdict. */
export interface ProbeObservation {
  ok: boolean;
  latencyMs: number;
  timing?: { connectMs?: number; tlsMs?: number; firstByteMs?: number };
  error?: string;
}

/** Something that can look at one instance, again and again. */
export interface Probe {
  /** Never rejects: whatever goes wrong is the observation. Two may run at once. */
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

/** Reads the certificate files named in the check. Throws with the file's name when one cannot be read. */
export function readProbeTlsOptions(tls: NonNullable<HealthCheck['tls']>): ProbeTlsOptions {
  return {
    ...(tls.ca ? { ca: readFileSync(tls.ca) } : {}),
    ...(tls.cert ? { cert: readFileSync(tls.cert) } : {}),
    ...(tls.key ? { key: readFileSync(tls.key) } : {}),
    ...(tls.serverName ? { servername: tls.serverName } : {}),
    rejectUnauthorized: tls.verify ?? true,
  };
}
