import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { StoreUrlError } from './store-url.ts';

/** PEM texts, as `tls.connect` takes them. */
export interface StoreTlsFiles {
  ca?: string;
  cert?: string;
  key?: string;
}

/**
 * Reads the files a store's URL names: the authority it trusts, and the client's certificate with its key. `parameters`
 * is what they are called there. Throws StoreUrlError.
 */
export function readStoreTlsFiles(
  variable: string,
  query: URLSearchParams,
  parameters: { ca: string; cert: string; key: string },
): StoreTlsFiles {
  const files: StoreTlsFiles = {};
  for (const what of ['ca', 'cert', 'key'] as const) {
    const name = parameters[what];
    const path = query.get(name);
    if (path === null || (what === 'ca' && path === 'system')) continue;
    files[what] = read(`${variable}: ${name}=${path}`, path, what !== 'key');
  }
  if ((files.cert === undefined) !== (files.key === undefined)) {
    throw new StoreUrlError(`${variable}: ${parameters.cert} and ${parameters.key} belong together`);
  }
  return files;
}

function read(where: string, path: string, certificate: boolean): string {
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
    throw new StoreUrlError(`${where} holds no ${certificate ? 'certificate' : 'private key'} in PEM form`);
  }
  return text;
}

/**
 * What to do about an error of a TLS connection, null when it is another kind of error. `parameter` is what the URL calls
 * the file of the authority, `client` what it calls the client's certificate.
 */
export function tlsErrorHint(
  error: unknown,
  variable: string,
  parameter: string,
  client: string,
): string | null {
  const { code = '', message = '' } = error as NodeJS.ErrnoException;
  // Some clients hand on the message alone.
  const text = `${code} ${message}`;
  if (/SELF_SIGNED|self-signed|UNABLE_TO_|unable to (get|verify)/.test(text)) {
    return `its certificate is not from an authority this host trusts: name that authority's file with ${parameter}= in ${variable}`;
  }
  if (/ALTNAME_INVALID|does not match certificate/.test(text)) {
    return `its certificate is for other names than the host in ${variable}: use one of those, or have the certificate made anew`;
  }
  if (/CERT_(HAS_EXPIRED|NOT_YET_VALID)|certificate (has expired|is not yet valid)/.test(text)) {
    return 'renew its certificate, and look at the clocks of both hosts';
  }
  if (/WRONG_VERSION_NUMBER|wrong version number|PACKET_LENGTH_TOO_LONG|packet length too long/.test(text)) {
    return `that port speaks no TLS: name its TLS port in ${variable}, or do without TLS`;
  }
  if (
    /CERTIFICATE_REQUIRED|certificate required|SSL.*ALERT|alert (number|handshake|unknown|bad)/i.test(text)
  ) {
    return `it does not take the client's certificate: name one it trusts with ${client} in ${variable}`;
  }
  return null;
}
