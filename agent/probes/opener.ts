import net, { type Socket } from 'node:net';
import tls from 'node:tls';
import { guardedLookup } from './guarded-lookup.ts';
import { type ProbeTarget, type ProbeTlsOptions, readProbeTlsOptions } from './target.ts';

/**
 * A connection is replaced after this time. An old connection would not notice that the instance accepts no new ones, or
 * that the host name resolves to another address.
 */
export const MAX_CONNECTION_AGE_MS = 60_000;

export const monotonicMs = (): number => performance.now();

interface ConnectOptions {
  /** The protocol to negotiate on a TLS connection. */
  alpn: 'http/1.1' | 'h2';
  /** The buffer that receives the bytes, instead of one per read. */
  onread?: net.OnReadOpts;
}

/**
 * Opens connections to one instance. The agent keeps an opener and a connection for every instance. They are classes,
 * because closures would cost several kilobytes for each instance.
 */
export class ConnectionOpener {
  readonly clock: () => number;
  /** The instance closed a connection between two probes. */
  readonly onClosed: () => void;
  readonly #target: ProbeTarget;
  #files: ProbeTlsOptions | undefined;

  /** Throws if a certificate file cannot be read. */
  constructor(target: ProbeTarget, onClosed: () => void, clock: () => number) {
    this.#target = target;
    this.onClosed = onClosed;
    this.clock = clock;
    this.#files = target.url.startsWith('https:') ? readProbeTlsOptions(target.check.tls ?? {}) : undefined;
  }

  connect({ alpn, onread }: ConnectOptions): Socket {
    const { url, allowNetworks } = this.#target;
    const { protocol, hostname, port } = new URL(url);
    const secure = protocol === 'https:';
    const host = hostname.replace(/^\[|\]$/g, '');
    const address = {
      host,
      port: Number(port) || (secure ? 443 : 80),
      noDelay: true,
      ...(onread && { onread }),
      ...(allowNetworks ? { lookup: guardedLookup(allowNetworks) } : {}),
    };
    if (!secure) return net.connect(address);
    this.#readFilesAgain();
    const servername = this.#files?.servername ?? (net.isIP(host) ? undefined : host);
    return tls.connect({
      ...address,
      ...this.#files,
      ALPNProtocols: [alpn],
      ...(servername ? { servername } : {}),
    });
  }

  /** The certificates may have been renewed. If they cannot be read, the last ones stay in use. */
  #readFilesAgain(): void {
    try {
      this.#files = readProbeTlsOptions(this.#target.check.tls ?? {});
    } catch {
      // The error is reported at the next restart or change of the configuration.
    }
  }
}
