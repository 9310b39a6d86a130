import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Certificate files for one test: an authority, a server certificate for 127.0.0.1, and a client certificate. */
export interface Certificates {
  ca: string;
  /** An authority that signed neither certificate. */
  otherCa: string;
  server: { cert: string; key: string };
  client: { cert: string; key: string };
  remove(): void;
}

/** `clientName` is the client's common name. All files are readable by everyone, because servers run as other users. */
export function makeCertificates(clientName: string): Certificates {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-tls-'));
  chmodSync(folder, 0o755);
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const file = (name: string) => join(folder, name);
  const authority = (name: string): string => {
    openssl(
      'req',
      '-x509',
      ...curve,
      '-days',
      '2',
      '-subj',
      `/CN=${name}`,
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.pem`,
    );
    return file(`${name}.pem`);
  };
  const signed = (name: string, subject: string, extensions: string) => {
    writeFileSync(file(`${name}.ext`), extensions);
    openssl('req', ...curve, '-subj', `/CN=${subject}`, '-keyout', `${name}.key`, '-out', `${name}.csr`);
    const by = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial'];
    openssl(
      'x509',
      '-req',
      ...by,
      '-days',
      '2',
      '-in',
      `${name}.csr`,
      '-out',
      `${name}.pem`,
      '-extfile',
      `${name}.ext`,
    );
    chmodSync(file(`${name}.key`), 0o644);
    return { cert: file(`${name}.pem`), key: file(`${name}.key`) };
  };
  return {
    ca: authority('ca'),
    otherCa: authority('other'),
    server: signed('server', 'store', 'subjectAltName=IP:127.0.0.1\n'),
    client: signed('client', clientName, 'extendedKeyUsage=clientAuth\n'),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}
