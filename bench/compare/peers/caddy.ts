import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../dev/bootstrap/run.mjs';
import { freePort } from '../../../dev/ports.ts';
import { startChild, waitUntilReady } from '../../../dev/servers/child.ts';
import { isAnswering } from './answering.ts';
import type { Peer } from './peer.ts';

export const caddy: Peer = {
  id: 'caddy',
  title: 'Caddy, least_conn',
  async start(fleet, folder) {
    const command = findProgram('caddy');
    if (!command) return null;
    const port = await freePort();
    const configFile = join(folder, 'Caddyfile');
    writeFileSync(
      configFile,
      `{
  admin off
  auto_https off
  storage file_system ${join(folder, 'caddy')}
}
http://127.0.0.1:${port} {
  reverse_proxy ${fleet.instances.map(({ host, port: at }) => `${host}:${at}`).join(' ')} {
    lb_policy least_conn
    lb_try_duration 2s
    health_uri /health
    health_interval 1s
    health_timeout 500ms
    fail_duration 10s
    max_fails 1
    transport http {
      dial_timeout 500ms
    }
  }
}
`,
    );
    const child = await startChild({
      name: 'caddy',
      command,
      args: ['run', '--config', configFile, '--adapter', 'caddyfile'],
      logFile: join(folder, 'caddy.log'),
      env: { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder },
    });
    const url = `http://127.0.0.1:${port}/`;
    await waitUntilReady(child, () => isAnswering(url));
    return { url, stop: () => child.stop() };
  },
};
