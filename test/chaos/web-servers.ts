import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { type Child, startChild, waitUntilReady } from '../../dev/servers/child.ts';
import type { Certificates } from '../harness/certificates.ts';

export interface WebServer {
  id: string;
  port: number;
  child: Child;
}

/** Writes the same files with the same modification time for every server. */
export function writeSite(folder: string, megabytes: number): { root: string; sha256: string } {
  const root = join(folder, 'site');
  mkdirSync(join(root, 'old'), { recursive: true });
  const large = randomBytes(megabytes << 20);
  const files: Record<string, string | Buffer> = {
    'index.html': 'hello\n',
    'digits.txt': '0123456789',
    'large.bin': large,
  };
  for (const [name, content] of Object.entries(files)) {
    writeFileSync(join(root, name), content);
    utimesSync(join(root, name), 1_700_000_000, 1_700_000_000);
  }
  return { root, sha256: createHash('sha256').update(large).digest('hex') };
}

/**
 * Starts nginx as one process, so that a kill leaves no workers. It redirects `/moved`, and `/old` because it is a folder,
 * and answers a POST to `/post`.
 */
export async function startNginx(
  folder: string,
  root: string,
  id: string,
  certificates?: Certificates,
): Promise<WebServer> {
  const port = await freePort();
  const tls = certificates
    ? `ssl_certificate ${certificates.server.cert}; ssl_certificate_key ${certificates.server.key};
  ssl_client_certificate ${certificates.ca}; ssl_verify_client on;`
    : '';
  const file = join(folder, `${id}.conf`);
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${folder}/${id}.pid; error_log stderr; events { worker_connections 1024; }
http { access_log off; server { listen 127.0.0.1:${port}${tls && ' ssl'}; ${tls} root ${root}; absolute_redirect off;
  location = /post { return 200 "nginx"; } location = /moved { return 301 /digits.txt?from=moved; } } }\n`,
  );
  return start({
    program: 'nginx',
    debianPackage: 'nginx-light',
    args: ['-e', 'stderr', '-c', file],
    folder,
    id,
    port,
  });
}

/** Starts a stopped nginx again on its port. */
export const restartNginx = (folder: string, { id, port }: WebServer): Promise<WebServer> =>
  start({
    program: 'nginx',
    debianPackage: 'nginx-light',
    args: ['-e', 'stderr', '-c', join(folder, `${id}.conf`)],
    folder,
    id,
    port,
  });

export async function startLighttpd(folder: string, root: string, id: string): Promise<WebServer> {
  const port = await freePort();
  const file = join(folder, `${id}.conf`);
  writeFileSync(
    file,
    `server.modules = ("mod_redirect")
server.document-root = "${root}"\nserver.bind = "127.0.0.1"\nserver.port = ${port}\nindex-file.names = ("index.html")
mimetype.assign = (".txt" => "text/plain", ".html" => "text/html")
url.redirect = ("^/moved$" => "/digits.txt?from=moved")\n`,
  );
  return start({
    program: 'lighttpd',
    debianPackage: 'lighttpd',
    args: ['-D', '-f', file],
    folder,
    id,
    port,
  });
}

interface ServerStart {
  program: string;
  debianPackage: string;
  args: string[];
  folder: string;
  id: string;
  port: number;
}

async function start({ program, debianPackage, args, folder, id, port }: ServerStart): Promise<WebServer> {
  const command = findProgram(program);
  if (!command) throw new Error(`${program} is not installed: apt-get install ${debianPackage}`);
  const child = await startChild({ name: id, command, args, logFile: join(folder, `${id}.log`) });
  // A TLS server answers a plain HTTP request with 400.
  await waitUntilReady(child, async () => (await fetch(`http://127.0.0.1:${port}/`)).status < 500);
  return { id, port, child };
}
