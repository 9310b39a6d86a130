import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { StoreUrlError } from './store-url.ts';

/** PEM texts for `tls.connect`. */
export interface StoreTlsFiles {
  ca?: string;
  cert?: string;
  key?: string;
}

/**
 * Reads the PEM files that a store's URL names: the certificate authority, and the client's certificate with its key.
 * `parameters` holds the names of the URL parameters. Throws StoreUrlError.
 */
export function readStoreTlsFiles(
  variable: string,
  query: URLSearchParams,
  parameters: { ca: string; cert: string; key: string },
): StoreTlsFiles {
  const files: StoreTlsFiles = {};
  for (const kind of ['ca', 'cert', 'key'] as const) {
    const name = parameters[kind];
    const path = query.get(name);
    if (path === null || (kind === 'ca' && path === 'system')) continue;
    files[kind] = readPem(`${variable}: ${name}=${path}`, path, kind !== 'key');
  }
  if ((files.cert === undefined) !== (files.key === undefined)) {
    throw new StoreUrlError(`${variable}: ${parameters.cert} and ${parameters.key} must be set together`);
  }
  return files;
}

function readPem(where: string, path: string, certificate: boolean): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new StoreUrlError(`${where} cannot be read (${(cause as NodeJS.ErrnoException).code})`);
  }
  try {
    if (certificate) new X509Certificate(text);
    else if (!text.includes('PRIVATE KEY-----')) throw new Error('no key');
  } catch {
    throw new StoreUrlError(`${where} contains no PEM ${certificate ? 'certificate' : 'private key'}`);
  }
  return text;
}

/**
 * Advice for an error of a TLS connection; null for any other error. `parameter` is the URL parameter of the certificate
 * authority, `client` that of the client's certificate.
 */
export function tlsErrorHint(
  error: unknown,
  variable: string,
  parameter: string,
  client: string,
): string | null {
  const { code = '', message = '' } = error as NodeJS.ErrnoException;
  // Some clients pass on only the message.
  const text = `${code} ${message}`;
  if (/SELF_SIGNED|self-signed|UNABLE_TO_|unable to (get|verify)/.test(text)) {
    return `its certificate is signed by an unknown authority: set ${parameter}= in ${variable} to the authority's file`;
  }
  if (/ALTNAME_INVALID|does not match certificate/.test(text)) {
    return `its certificate is for other names than the host in ${variable}: use one of those names, or renew the certificate`;
  }
  if (/CERT_(HAS_EXPIRED|NOT_YET_VALID)|certificate (has expired|is not yet valid)/.test(text)) {
    return 'renew its certificate, and check the clocks of both hosts';
  }
  if (/WRONG_VERSION_NUMBER|wrong version number|PACKET_LENGTH_TOO_LONG|packet length too long/.test(text)) {
    return `the port does not use TLS: set the TLS port in ${variable}, or use a URL without TLS`;
  }
  if (
    /CERTIFICATE_REQUIRED|certificate required|SSL.*ALERT|alert (number|handshake|unknown|bad)/i.test(text)
  ) {
    return `it rejects the client's certificate: set ${client} in ${variable} to a certificate that it trusts`;
  }
  return null;
}
