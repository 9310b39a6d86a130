import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../../dev/ports.ts';
import { startHaproxy } from '../../../dev/servers/haproxy.ts';
import type { Fleet } from '../fleet.ts';
import type { Peer } from './peer.ts';

const servers = (fleet: Fleet, options: string): string[] =>
  fleet.instances.map(({ id, host, port }) => `  server ${id} ${host}:${port} ${options}`);

async function startWith(lines: readonly string[], folder: string, name: string, port: number) {
  const configFile = join(folder, `${name}.cfg`);
  writeFileSync(configFile, `${lines.join('\n')}\n`);
  const haproxy = await startHaproxy({ configFile, logFile: join(folder, `${name}.log`) });
  return { url: `http://127.0.0.1:${port}/`, stop: () => haproxy.stop() };
}

/** The settings of the original guide; what it leaves out is HAProxy's default. */
export const haproxyGuide: Peer = {
  id: 'haproxy-guide',
  title: "HAProxy, the guide's configuration",
  async start(fleet, folder) {
    const port = await freePort();
    const lines = [
      'global',
      '  maxconn 4096',
      'defaults',
      '  mode http',
      '  timeout connect 5s',
      '  timeout client 60s',
      '  timeout server 60s',
      '  timeout check 3s',
      'frontend in',
      `  bind 127.0.0.1:${port}`,
      '  default_backend out',
      'backend out',
      '  balance roundrobin',
      '  option httpchk GET /health',
      '  http-check expect status 200',
      ...servers(fleet, 'check inter 10s fall 3 rise 2 maxconn 100'),
    ];
    return startWith(lines, folder, 'haproxy-guide', port);
  },
};

/**
 * The best that is safe: the shortest queue, quick checks, another server at once when a connection fails, repetition
 * of GET alone, and traffic itself as evidence.
 */
export const haproxyTuned: Peer = {
  id: 'haproxy-tuned',
  title: 'HAProxy, tuned',
  async start(fleet, folder) {
    const port = await freePort();
    const lines = [
      'global',
      '  maxconn 4096',
      'defaults',
      '  mode http',
      '  retries 2',
      '  option redispatch 1',
      '  retry-on conn-failure empty-response',
      '  timeout connect 500ms',
      '  timeout client 60s',
      '  timeout server 60s',
      '  timeout queue 5s',
      '  timeout check 500ms',
      'frontend in',
      `  bind 127.0.0.1:${port}`,
      '  http-request disable-l7-retry unless METH_GET',
      '  default_backend out',
      'backend out',
      '  balance leastconn',
      '  option httpchk GET /health',
      '  http-check expect status 200',
      ...servers(
        fleet,
        'check inter 1s fastinter 250ms downinter 1s fall 2 rise 2 maxconn 100 observe layer7 error-limit 10 on-error mark-down slowstart 10s',
      ),
    ];
    return startWith(lines, folder, 'haproxy-tuned', port);
  },
};
