import { join } from 'node:path';
import { freePort } from '../../dev/ports.ts';
import { type RunningServer, startChild, waitUntilReady } from '../../dev/servers/child.ts';
import { startInPrivateFolder } from '../../dev/servers/folder.ts';
import { tcpRequest } from '../../dev/servers/tcp-request.ts';

export interface DnsServer extends RunningServer {
  /** `127.0.0.1:port` */
  address: string;
}

/** Starts dnsmasq on loopback. `records` are its options, such as `host-record=web.test,127.0.0.2`. */
export async function startDnsServer(records: readonly string[], wanted?: number): Promise<DnsServer> {
  const port = wanted ?? (await freePort());
  return startInPrivateFolder('acgs-dns', undefined, async (folder) => {
    const child = await startChild({
      name: 'dnsmasq',
      command: 'dnsmasq',
      args: [
        ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts'],
        ...['--listen-address=127.0.0.1', '--bind-interfaces', `--port=${port}`, '--user='],
        ...['--pid-file=', '--local-ttl=1', '--local=/test/', '--log-facility=-'],
        ...records.map((record) => `--${record}`),
      ],
      logFile: join(folder, 'dnsmasq.log'),
    });
    // DNS over TCP: it accepts connections when it is ready.
    await waitUntilReady(child, async () => {
      await tcpRequest({ port, host: '127.0.0.1' }, '', { isComplete: () => true, timeoutMs: 100 }).catch(
        (error: unknown) => {
          if (error instanceof Error && 'code' in error && error.code === 'ECONNREFUSED') throw error;
        },
      );
      return true;
    });
    return { address: `127.0.0.1:${port}`, child, stop: () => child.stop() };
  });
}
