import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../../dev/bootstrap/run.mjs';
import { freePort } from '../../../dev/ports.ts';
import { startChild, waitUntilReady } from '../../../dev/servers/child.ts';
import { isAnswering } from './answering.ts';
import type { Peer } from './peer.ts';

/** nginx has no active checks: `max_fails` takes a server out for ten seconds after one failure. */
export const nginx: Peer = {
  id: 'nginx',
  title: 'nginx, least_conn',
  async start(fleet, folder) {
    const command = findProgram('nginx');
    if (!command) return null;
    const port = await freePort();
    const configFile = join(folder, 'nginx.conf');
    const servers = fleet.instances.map(
      ({ host, port: at }) => `    server ${host}:${at} max_fails=1 fail_timeout=10s;`,
    );
    writeFileSync(
      configFile,
      [
        'daemon off;',
        `pid ${join(folder, 'nginx.pid')};`,
        `error_log ${join(folder, 'nginx.log')};`,
        'events { worker_connections 4096; }',
        'http {',
        '  access_log off;',
        `  client_body_temp_path ${join(folder, 'nginx-body')};`,
        `  proxy_temp_path ${join(folder, 'nginx-proxy')};`,
        `  fastcgi_temp_path ${join(folder, 'nginx-fastcgi')};`,
        `  uwsgi_temp_path ${join(folder, 'nginx-uwsgi')};`,
        `  scgi_temp_path ${join(folder, 'nginx-scgi')};`,
        '  upstream out {',
        '    least_conn;',
        ...servers,
        '    keepalive 64;',
        '  }',
        '  server {',
        `    listen 127.0.0.1:${port};`,
        '    location / {',
        '      proxy_pass http://out;',
        '      proxy_http_version 1.1;',
        '      proxy_set_header Connection "";',
        '      proxy_connect_timeout 500ms;',
        '      proxy_read_timeout 60s;',
        '      proxy_next_upstream error timeout invalid_header http_502 http_503;',
        '    }',
        '  }',
        '}',
        '',
      ].join('\n'),
    );
    const child = await startChild({
      name: 'nginx',
      command,
      args: ['-c', configFile, '-p', folder],
      logFile: join(folder, 'nginx.out'),
    });
    const url = `http://127.0.0.1:${port}/`;
    await waitUntilReady(child, () => isAnswering(url));
    return { url, stop: () => child.stop() };
  },
};
