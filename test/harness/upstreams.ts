import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { startChild, waitUntilReady } from '../../dev/servers/child.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { startRecordingInstance } from './recording-instance.ts';

/**
 * Web servers that teams run as instances. Each answers 200 to every request with `x-saw: <service> <request target>`,
 * and with `x-read-as: admin` when it reads the path as /admin or one below it.
 */
export interface Upstreams {
  /** By service id. */
  readonly urls: Readonly<Record<string, string>>;
  stop(): Promise<void>;
}

export interface UpstreamKind {
  readonly name: string;
  /** The program; null: it is not installed. */
  readonly program: string | null;
  start(services: readonly string[], program: string): Promise<Upstreams>;
}

interface ServiceUpstream {
  id: string;
  port: number;
}

interface ServerProcess {
  name: string;
  program: string;
  services: readonly string[];
  /** Writes the configuration into the folder and returns the arguments of each process. */
  configure(folder: string, upstreams: ServiceUpstream[]): string[][];
}

async function startServers({ name, program, services, configure }: ServerProcess): Promise<Upstreams> {
  const folder = createPrivateFolder('acgs-up');
  const upstreams = await Promise.all(services.map(async (id) => ({ id, port: await freePort() })));
  const children = await Promise.all(
    configure(folder, upstreams).map((args, index) =>
      startChild({ name, command: program, args, logFile: join(folder, `log${index}`) }),
    ),
  );
  const stop = async (): Promise<void> => {
    await Promise.all(children.map((child) => child.stop()));
    removeFolder(folder);
  };
  const urls = upstreams.map(({ id, port }) => [id, `http://127.0.0.1:${port}`] as const);
  try {
    for (const [index, [, url]] of urls.entries()) {
      const child = children[index] ?? children[0];
      if (child) await waitUntilReady(child, async () => (await fetch(url)).ok);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { urls: Object.fromEntries(urls), stop };
}

/** Frameworks answer 400 to a path that has no decoded form, or leave it as it is. */
function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path;
  }
}

async function startNode(services: readonly string[]): Promise<Upstreams> {
  const instances = await Promise.all(
    services.map(async (id) => ({ id, one: await startRecordingInstance(id) })),
  );
  for (const { id, one } of instances) {
    one.answer((request, response) => {
      const path = decoded(new URL(`http://x${request.url}`).pathname);
      if (/^\/admin(?:\/|$)/.test(path)) response.setHeader('x-read-as', 'admin');
      response.setHeader('x-saw', `${id} ${request.url}`).end();
    });
  }
  return {
    urls: Object.fromEntries(instances.map(({ id, one }) => [id, one.url])),
    async stop() {
      await Promise.all(instances.map(({ one }) => one.stop()));
    },
  };
}

/** `location` matches the path as nginx reads it: decoded, with merged slashes. */
function configureNginx(folder: string, upstreams: ServiceUpstream[]): string[][] {
  const file = join(folder, 'nginx.conf');
  const servers = upstreams.map(
    ({ id, port }) =>
      `server { listen 127.0.0.1:${port}; add_header x-saw "${id} $request_uri"; location / { return 200; } location ~ ^/admin(/|$) { add_header x-saw "${id} $request_uri"; add_header x-read-as admin; return 200; } }`,
  );
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/pid; error_log stderr; events {}
http { access_log off; ${temporary.join(' ')} ${servers.join('\n')} }\n`,
  );
  return [['-e', 'stderr', '-c', file]];
}

const APACHE_MODULES = ['/usr/lib/apache2/modules', '/usr/lib64/httpd/modules', '/etc/httpd/modules'];

/** `Location` matches the path as Apache reads it: decoded, with merged slashes. */
function configureApache(folder: string, upstreams: ServiceUpstream[]): string[][] {
  const file = join(folder, 'httpd.conf');
  const modules = APACHE_MODULES.find(existsSync) ?? '';
  const load = ['mpm_event', 'authz_core', 'alias', 'headers', 'unixd'].flatMap((name) => {
    const path = `${modules}/mod_${name}.so`;
    return existsSync(path) ? [`LoadModule ${name}_module ${path}`] : [];
  });
  writeFileSync(join(folder, 'page.txt'), '');
  const hosts = upstreams.map(
    ({ id, port }) => `Listen 127.0.0.1:${port}
<VirtualHost 127.0.0.1:${port}>
  AliasMatch .* ${folder}/page.txt
  AllowEncodedSlashes NoDecode
  Header always set x-saw "expr=${id} %{THE_REQUEST}"
  <Location /admin>
    Header always set x-read-as admin
  </Location>
</VirtualHost>`,
  );
  const text = `ServerRoot ${folder}
ServerName localhost
PidFile ${folder}/pid
ErrorLog ${folder}/error
DefaultRuntimeDir ${folder}
Mutex pthread
${load.join('\n')}
<Directory ${folder}>
  Require all granted
</Directory>
${hosts.join('\n')}
`;
  writeFileSync(file, text);
  return [['-D', 'FOREGROUND', '-f', file]];
}

const PYTHON_SERVER = `
import sys, threading, posixpath
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

def handler(service):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = 'HTTP/1.1'
        def do_GET(self):
            path = posixpath.normpath(unquote(urlsplit(self.path).path))
            self.send_response(200)
            self.send_header('x-saw', service + ' ' + self.requestline.split(' ')[1])
            if path == '/admin' or path.startswith('/admin/'):
                self.send_header('x-read-as', 'admin')
            self.send_header('content-length', '0')
            self.end_headers()
        def log_message(self, *_):
            pass
    return Handler

for argument in sys.argv[1:]:
    service, port = argument.split(':')
    server = ThreadingHTTPServer(('127.0.0.1', int(port)), handler(service))
    threading.Thread(target=server.serve_forever).start()
`;

const PHP_ROUTER = `<?php
$path = rawurldecode(parse_url('http://x' . $_SERVER['REQUEST_URI'], PHP_URL_PATH) ?: '/');
if (preg_match('#^/admin(/|$)#', $path) || preg_match('#^/admin(/|$)#', $_SERVER['SCRIPT_NAME']))
    header('x-read-as: admin');
header('x-saw: SERVICE ' . $_SERVER['REQUEST_URI']);
`;

/** One process for each service. */
function configurePhp(folder: string, upstreams: ServiceUpstream[]): string[][] {
  return upstreams.map(({ id, port }) => {
    const router = join(folder, `${id}.php`);
    writeFileSync(router, PHP_ROUTER.replace('x-saw: SERVICE', `x-saw: ${id}`));
    return ['-S', `127.0.0.1:${port}`, '-t', folder, router];
  });
}

const configurePython = (_: string, upstreams: ServiceUpstream[]): string[][] => [
  ['-c', PYTHON_SERVER, ...upstreams.map(({ id, port }) => `${id}:${port}`)],
];

const server = (
  name: string,
  program: string | null,
  configure: ServerProcess['configure'],
): UpstreamKind => ({
  name,
  program,
  start: (services, found) => startServers({ name, program: found, services, configure }),
});

export const UPSTREAM_KINDS: readonly UpstreamKind[] = [
  { name: 'Node', program: process.execPath, start: startNode },
  server('nginx', findProgram('nginx'), configureNginx),
  server('Apache', findProgram('apache2') ?? findProgram('httpd'), configureApache),
  server('Python', findProgram('python3', ['/usr/bin']) ?? findProgram('python3'), configurePython),
  server('PHP', findProgram('php'), configurePhp),
];
