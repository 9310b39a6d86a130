import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { editedConfig, freeOffset, runStart, type StartRun } from '../harness/stack.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'acgs-usage-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function refused(...args: string[]): Promise<{ code: number | null; stderr: string; stdout: string }> {
  const run: StartRun = runStart(['--no-install', '--state-dir', join(folder, 'state'), ...args]);
  const code = await run.ended;
  return {
    code,
    stderr: run.stderr(),
    stdout: run.output().slice(0, run.output().length - run.stderr().length),
  };
}

describe('npm start with wrong usage', () => {
  it('reports all errors of a configuration with their positions and starts nothing', async () => {
    const file = join(folder, 'broken.yaml');
    const broken = editedConfig((document) => {
      document.setIn(['version'], 3);
      document.setIn(['defaults', 'strategy'], 'fastest');
      document.setIn(['services', 'auth', 'timeout'], 'soon');
      document.setIn(['services', 'ac', 'instances', 1, 'id'], 'ac-1');
      document.setIn(['services', 'pgc', 'routes', 0], '/api/v1/auth');
      document.setIn(['haproxy', 'stats'], '127.0.0.1:8090');
    });
    writeFileSync(file, broken);
    const { code, stderr, stdout } = await refused('--config', file);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    const lines = stderr.trim().split('\n');
    expect(lines).toHaveLength(6);
    for (const line of lines)
      expect(line).toMatch(/broken\.yaml:\d+:\d+: [\w.[\]-]+: ".*" is not allowed; expected |: 3 is not/);
    expect(readdirSync(folder)).not.toContain('state');
  });

  it.each([
    [['--bogus'], "Unknown option '--bogus'"],
    [['--port-offset', 'many'], '--port-offset "many" is not allowed; expected a whole number'],
    [['--port-offset', '-1'], `Option '--port-offset' argument must not begin with "-"`],
    [['--kv-lag', 'soon'], '--kv-lag "soon" is not allowed; expected a duration'],
    [['--edge', 'cloud'], '--edge "cloud" is not allowed; expected miniflare or wrangler'],
    [['--config', '/no/such.yaml'], '--config /no/such.yaml cannot be read: ENOENT'],
    [['--state-dir', 'README.md'], 'README.md cannot be used as a folder: EEXIST'],
    [['--state-dir', '/proc/none/state'], '--state-dir /proc/none/state cannot be used as a folder: ENOENT'],
  ])('rejects %j with one line', async (args, message) => {
    const { code, stderr } = await refused(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(message);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  it('names a variable that the configuration needs, before it starts anything', async () => {
    const file = join(folder, 'receiver.yaml');
    const receiver = { type: 'webhook', url: 'https://hook.example/', secret: '$' + '{ACGS_NOT_SET}' };
    writeFileSync(
      file,
      editedConfig((document) => document.setIn(['alerts', 'receivers'], { hook: receiver })),
    );
    const offset = await freeOffset();
    const { code, stderr, stdout } = await refused('--config', file, '--port-offset', String(offset));
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toBe('ACGS_NOT_SET: is not set; alerts.receivers.hook.secret names it\n');
  });

  it('names the port in use, the server that needs it, and the option to shift ports', async () => {
    const offset = await freeOffset();
    const port = 8090 + offset;
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    const { code, stderr, stdout } = await refused('--port-offset', String(offset));
    await new Promise((resolve) => server.close(resolve));
    expect(code).toBe(2);
    expect(stdout).toBe('');
    expect(stderr).toMatch(
      new RegExp(
        `^port ${port} for the gateway is already in use; shift all ports with --port-offset \\d+\n$`,
      ),
    );
  });
});
