import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Application, type CheckContext, mustEqual } from './application.ts';
import { listen } from './node-server.ts';
import { missingProgram } from './programs.ts';

const run = promisify(execFile);

/** git's own CGI program, which web servers run. */
function answer(folder: string, request: IncomingMessage, response: ServerResponse): void {
  const url = new URL(request.url ?? '', 'http://x');
  const child = spawn('git', ['http-backend'], {
    env: {
      PATH: process.env.PATH,
      GIT_PROJECT_ROOT: folder,
      GIT_HTTP_EXPORT_ALL: '1',
      REQUEST_METHOD: request.method,
      PATH_INFO: url.pathname,
      QUERY_STRING: url.search.slice(1),
      CONTENT_TYPE: request.headers['content-type'],
      HTTP_CONTENT_ENCODING: request.headers['content-encoding'],
      GIT_PROTOCOL: String(request.headers['git-protocol'] ?? ''),
      REMOTE_USER: 'tester',
    },
  });
  request.pipe(child.stdin).on('error', () => {});
  let head = '';
  child.stdout.on('data', (chunk: Buffer) => {
    if (response.headersSent) return void response.write(chunk);
    head += chunk.toString('latin1');
    const end = head.indexOf('\r\n\r\n');
    if (end < 0) return;
    for (const line of head.slice(0, end).split('\r\n')) {
      const [field = '', value = ''] = line.split(': ', 2);
      if (field === 'Status') response.statusCode = Number.parseInt(value, 10);
      else response.setHeader(field, value);
    }
    response.write(Buffer.from(head.slice(end + 4), 'latin1'));
  });
  child.stdout.on('end', () => response.end());
}

async function pushAndClone({ url, way, folder, short }: CheckContext): Promise<void> {
  const bare = join(folder, `${way}.git`);
  const [from, to] = [join(folder, `${way}-from`), join(folder, `${way}-to`)];
  await run('git', ['init', '-q', '--bare', '-b', 'main', bare]);
  await run('git', ['-C', bare, 'config', 'http.receivepack', 'true']);
  await run('git', ['init', '-q', '-b', 'main', from]);
  writeFileSync(join(from, 'file'), randomBytes(short ? 1_000_000 : 40_000_000));
  const git = (...args: string[]) =>
    run('git', ['-c', 'user.name=t', '-c', 'user.email=t@x', ...args], { cwd: from });
  await git('add', '.');
  await git('commit', '-qm', 'x');
  // git sends a pack that is larger than its buffer in chunks.
  await git('-c', 'http.postBuffer=65536', 'push', '-q', `${url}/${way}.git`, 'main');
  await run('git', ['clone', '-q', `${url}/${way}.git`, to]);
  const headOf = async (path: string) => (await run('git', ['-C', path, 'rev-parse', 'HEAD'])).stdout;
  mustEqual(await headOf(to), await headOf(from), 'commit');
}

export const GIT: Application = {
  id: 'git',
  name: 'git over HTTP (`git http-backend`)',
  needs:
    'instances that share the repositories; a `timeout` above the time that git packs or unpacks a push without sending a byte',
  // `git http-backend` sends its header fields at once. From then on HAProxy counts the silence of both sides.
  timeoutMs: 60_000,
  missing: missingProgram('git'),
  start: (_, folder) => listen((request, response) => answer(folder, request, response)),
  checks: [{ what: 'push (in chunks) and clone of a pack of 40 MB', run: pushAndClone }],
};
