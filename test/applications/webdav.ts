import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findProgram } from '../../dev/bootstrap/run.mjs';
import { freePort } from '../../dev/ports.ts';
import { type Application, type CheckContext, mustEqual } from './application.ts';
import { missingProgram, programOf, runProgram } from './programs.ts';

const apache = (): string | null => findProgram('apache2') ?? findProgram('httpd');
const MODULES = ['mpm_event', 'authz_core', 'dav', 'dav_fs', 'dir'];

const startApache: Application['start'] = async (name, folder) => {
  const port = await freePort();
  const own = join(folder, name);
  mkdirSync(join(folder, 'root'), { recursive: true });
  mkdirSync(own);
  const file = join(own, 'apache.conf');
  const modules = MODULES.map((one) => `LoadModule ${one}_module /usr/lib/apache2/modules/mod_${one}.so`);
  writeFileSync(
    file,
    `${modules.join('\n')}
ServerRoot ${own}
ServerName dav.internal
Listen 127.0.0.1:${port}
PidFile ${own}/pid
ErrorLog /dev/stderr
DavLockDB ${folder}/locks
DocumentRoot ${folder}/root
<Directory ${folder}/root>
  Require all granted
  Dav On
</Directory>\n`,
  );
  return runProgram({
    name,
    command: apache() ?? 'apache2',
    args: ['-X', '-f', file],
    folder: own,
    port,
  });
};

const startNginx: Application['start'] = async (name, folder) => {
  const port = await freePort();
  const own = join(folder, name);
  mkdirSync(join(folder, 'root'), { recursive: true });
  mkdirSync(own);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
    (one) => `${one}_temp_path ${own}/${one};`,
  );
  const file = join(own, 'nginx.conf');
  writeFileSync(
    file,
    `daemon off; master_process off; pid ${own}/pid; error_log stderr; events {}
http { access_log off; ${temporary.join(' ')}
  server { listen 127.0.0.1:${port}; root ${folder}/root;
    location / { dav_methods PUT DELETE MKCOL COPY MOVE; } } }\n`,
  );
  const command = programOf('nginx');
  return runProgram({ name, command, args: ['-e', 'stderr', '-c', file], folder: own, port });
};

async function ask(url: string, method: string, more: RequestInit = {}): Promise<[number, string]> {
  const response = await fetch(url, { method, ...more });
  return [response.status, await response.text()];
}

async function basics({ url, way }: CheckContext): Promise<void> {
  const folder = `${url}/basics-${way}`;
  mustEqual((await ask(folder, 'MKCOL'))[0], 201, 'MKCOL');
  mustEqual((await ask(`${folder}/a`, 'PUT', { body: 'text' }))[0], 201, 'PUT');
  const [status, listing] = await ask(`${folder}/`, 'PROPFIND', { headers: { depth: '1' } });
  mustEqual([status, listing.includes(`/basics-${way}/a`)], [207, true], 'PROPFIND');
  const lock = `<?xml version="1.0"?><lockinfo xmlns="DAV:"><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>`;
  const locked = await fetch(`${folder}/a`, {
    method: 'LOCK',
    body: lock,
    headers: { timeout: 'Second-60' },
  });
  await locked.text();
  mustEqual(locked.status, 200, 'LOCK');
  mustEqual((await ask(`${folder}/a`, 'PUT', { body: 'x' }))[0], 423, 'PUT on a locked file');
  const token = locked.headers.get('lock-token') ?? '';
  const withLock = { body: 'x', headers: { if: `(${token})` } };
  mustEqual((await ask(`${folder}/a`, 'PUT', withLock))[0], 204, 'PUT with the lock');
  mustEqual((await ask(`${folder}/a`, 'UNLOCK', { headers: { 'lock-token': token } }))[0], 204, 'UNLOCK');
  mustEqual((await ask(`${folder}/a`, 'DELETE'))[0], 204, 'DELETE');
}

async function destination({ url, way }: CheckContext): Promise<void> {
  const [a, b, c] = ['a', 'b', 'c'].map((name) => `${url}/${name}-${way}`) as [string, string, string];
  mustEqual((await ask(a, 'PUT', { body: 'text' }))[0], 201, 'PUT');
  // nginx answers 204 also when it makes a file.
  const mustSucceed = async (from: string, method: string, to: string) => {
    const [status] = await ask(from, method, { headers: { destination: to } });
    mustEqual(status === 201 || status === 204 || status, true, method);
  };
  await mustSucceed(a, 'COPY', b);
  await mustSucceed(b, 'MOVE', c);
  mustEqual(await ask(c, 'GET'), [200, 'text'], 'GET');
}

const DESTINATION = 'COPY and MOVE with an absolute `Destination`';
const SHARED = 'instances that share the folder';

export const WEBDAV: readonly Application[] = [
  {
    id: 'webdav',
    name: 'WebDAV, Apache mod_dav',
    needs: `${SHARED} and \`DavLockDB\``,
    missing: () => (apache() ? null : 'apache2'),
    start: startApache,
    checks: [
      { what: 'PUT, PROPFIND, MKCOL, LOCK, UNLOCK, DELETE', run: basics },
      { what: DESTINATION, run: destination },
    ],
  },
  {
    id: 'webdav-nginx',
    name: 'WebDAV, nginx',
    needs: `the gateway; ${SHARED}`,
    slow: true,
    missing: missingProgram('nginx'),
    start: startNginx,
    checks: [
      {
        what: DESTINATION,
        run: destination,
        fails: {
          direct: {
            error: /^COPY: 400/,
            reason:
              'nginx compares the host in `Destination` with `Host`, which names the instance, and has no setting for that',
          },
        },
      },
    ],
  },
];
