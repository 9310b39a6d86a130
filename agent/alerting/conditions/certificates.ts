import { X509Certificate } from 'node:crypto';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../../../shared/config/config.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import type { Log } from '../../lib/log.ts';
import type { Condition } from './condition.ts';

/** The earliest expiry of the certificates in one file. */
export interface CertificateExpiry {
  file: string;
  expiresAt: number;
}

const DAY_MS = 86_400_000;
const PEM = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

export function certificateConditions(
  certificates: readonly CertificateExpiry[],
  { warning, critical }: Config['alerts']['rules']['certificateExpiry'],
  now: number,
): Condition[] {
  return certificates.flatMap(({ file, expiresAt }): Condition[] => {
    const leftMs = expiresAt - now;
    if (leftMs > warning) return [];
    const severity = leftMs <= 0 ? 'emergency' : leftMs <= critical ? 'critical' : 'warning';
    const limit = severity === 'emergency' ? 0 : severity === 'critical' ? critical : warning;
    const date = new Date(expiresAt).toISOString();
    return [
      {
        rule: 'certificateExpiry',
        service: '',
        subject: file,
        severity,
        value: Math.floor(leftMs / DAY_MS),
        threshold: Math.floor(limit / DAY_MS),
        message:
          leftMs <= 0
            ? `certificate ${file} expired at ${date}`
            : `certificate ${file} expires in ${leftText(leftMs)}, at ${date}`,
      },
    ];
  });
}

const leftText = (ms: number): string =>
  ms >= 2 * DAY_MS ? `${Math.floor(ms / DAY_MS)} days` : `${Math.floor(ms / 3_600_000)} hours`;

/** The files that the configuration names: HAProxy's own and the client certificates of probes. */
export function certificateFiles({ haproxy, services }: Config): string[] {
  const clients = Object.values(services).flatMap(({ health }) => health.tls?.cert ?? []);
  return [...new Set([...(haproxy.tls ? [haproxy.tls.crt] : []), ...clients])];
}

/** Reads the expiry of every certificate; logs a file that cannot be read once. */
export function createCertificateReader(
  log: Log,
): (files: readonly string[]) => Promise<CertificateExpiry[]> {
  const unreadable = new Set<string>();

  async function read(file: string): Promise<CertificateExpiry[]> {
    try {
      const found = await expiriesOf(file);
      unreadable.delete(file);
      return found;
    } catch (error) {
      if (!unreadable.has(file)) {
        log.warn(
          { file, error: errorMessage(error) },
          'certificate cannot be read: its expiry is not monitored',
        );
      }
      unreadable.add(file);
      return [];
    }
  }

  return async (files) => (await Promise.all(files.map(read))).flat();
}

/** One entry for each file; a folder has one for each file with a certificate in it. */
async function expiriesOf(path: string): Promise<CertificateExpiry[]> {
  if ((await stat(path)).isDirectory()) {
    const names = await readdir(path);
    return (await Promise.all(names.sort().map((name) => expiriesInFile(join(path, name))))).flat();
  }
  return expiriesInFile(path);
}

async function expiriesInFile(file: string): Promise<CertificateExpiry[]> {
  const found = (await readFile(file, 'utf8')).match(PEM) ?? [];
  const times = found.map((pem) => Date.parse(new X509Certificate(pem).validTo));
  return times.length > 0 ? [{ file, expiresAt: Math.min(...times) }] : [];
}
