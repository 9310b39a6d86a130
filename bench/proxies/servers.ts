import { writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { startChild, waitUntilReady } from '../../dev/servers/child.ts';
import { startHaproxy } from '../../dev/servers/haproxy.ts';
import { isAnswering } from '../compare/peers/answering.ts';

/** A running server under measurement. */
export interface RunningProxy {
  url: string;
  stop(): Promise<void>;
}

/** The command of one server. `name` is also the name of its files. */
interface ServerProgram {
  name: string;
  command: string;
  args: readonly string[];
  env?: NodeJS.ProcessEnv;
}

const LARGE_BYTES = 1024 * 1024;

/** The origin: nginx with a short answer, and 1 MiB where the path ends with /1m. */
export async function startOrigin(folder: string): Promise<RunningProxy> {
  writeFileSync(join(folder, '1m'), Buffer.alloc(LARGE_BYTES, 'x'));
  const locations = `
    location ~ /1m$ { root ${folder}; try_files /1m =404; }
    location / { default_type text/plain; return 200 "response of a service\\n"; }`;
  return startNginx(
    folder,
    'origin',
    (port) => `server { listen 127.0.0.1:${port} backlog=4096; ${locations} }`,
  );
}

export async function startNginxProxy(origin: string, folder: string): Promise<RunningProxy> {
  return startNginx(
    folder,
    'nginx',
    (port) => `upstream out { server ${new URL(origin).host}; keepalive 1024; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / { proxy_pass http://out; proxy_http_version 1.1; proxy_set_header Connection ""; }
  }`,
  );
}

async function startNginx(
  folder: string,
  name: string,
  server: (port: number) => string,
): Promise<RunningProxy> {
  const port = await freePort();
  const configFile = join(folder, `${name}.conf`);
  const { uid, username } = userInfo();
  // By default nginx's workers drop root, and then cannot read this private folder.
  const user = uid === 0 ? `user ${username};\n` : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (kind) => `  ${kind}_temp_path ${join(folder, `${name}-${kind}`)};`,
  );
  writeFileSync(
    configFile,
    `${user}daemon off;
worker_processes 1;
pid ${join(folder, `${name}.pid`)};
error_log ${join(folder, `${name}.error`)};
events { worker_connections 8192; }
http {
  access_log off;
  sendfile on;
  keepalive_requests 1000000000;
${temporary.join('\n')}
  ${server(port)}
}
`,
  );
  const command = programOf('nginx');
  return start({ name, command, args: ['-c', configFile, '-p', folder] }, port, folder);
}

export async function startHaproxyProxy(origin: string, folder: string): Promise<RunningProxy> {
  const port = await freePort();
  const configFile = join(folder, 'haproxy.cfg');
  writeFileSync(
    configFile,
    `global
  nbthread 1
  maxconn 8192
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend in
  bind 127.0.0.1:${port}
  default_backend out
backend out
  server origin ${new URL(origin).host}
`,
  );
  const haproxy = await startHaproxy({ configFile, logFile: join(folder, 'haproxy.log') });
  return { url: `http://127.0.0.1:${port}`, stop: () => haproxy.stop() };
}

export async function startCaddyProxy(origin: string, folder: string): Promise<RunningProxy> {
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
  reverse_proxy ${new URL(origin).host} {
    transport http {
      keepalive_idle_conns_per_host 1024
    }
  }
}
`,
  );
  const home = { HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
  const args = ['run', '--config', configFile, '--adapter', 'caddyfile'];
  const env = { ...process.env, ...home, GOMAXPROCS: '1' };
  return start({ name: 'caddy', command: programOf('caddy'), args, env }, port, folder);
}

export async function startNodeProxy(kind: string, origin: string, folder: string): Promise<RunningProxy> {
  const port = await freePort();
  const args = [join(import.meta.dirname, 'node-proxy.ts'), kind, origin, String(port)];
  const env = { ...process.env, NODE_ENV: 'production' };
  return start({ name: kind.replace(/\W/g, '-'), command: process.execPath, args, env }, port, folder);
}

async function start(program: ServerProgram, port: number, folder: string): Promise<RunningProxy> {
  const child = await startChild({ ...program, logFile: join(folder, `${program.name}.log`) });
  const url = `http://127.0.0.1:${port}`;
  await waitUntilReady(child, () => isAnswering(`${url}/`));
  return { url, stop: () => child.stop() };
}

function programOf(name: string): string {
  const program = findProgram(name);
  if (!program) throw new Error(`${name} is not installed`);
  return program;
}
