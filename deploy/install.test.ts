import { execFile, spawnSync } from 'node:child_process';
import { appendFile, mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';

// Installs into a temporary folder with --root; on a real host the same script runs as root.
const run = promisify(execFile);
const checkout = join(import.meta.dirname, '..');
let dir: string;
let root: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'acgs-install-'));
  root = join(dir, 'root');
  await run(process.execPath, ['dev/build.ts'], { cwd: checkout });
  await mkdir(join(root, 'etc/haproxy'), { recursive: true });
  await writeFile(join(root, 'etc/haproxy/haproxy.cfg'), '# the distribution\n');
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

const installed = (path: string) => readFile(join(root, path), 'utf8');

test('installs, keeps changed files on an upgrade, and uninstalls completely', async () => {
  await run(join(checkout, 'deploy/install.sh'), ['--root', root]);
  const secrets = await installed('etc/acgs-lb/agent.env');
  expect(secrets).toMatch(/^ENVIRONMENT=production$/m);
  expect(secrets).toMatch(/^ACGS_TOKEN=\S{16,}$/m);
  expect(await installed('etc/acgs-lb/edge.env')).toMatch(/^SITES=main$/m);
  const command = await readFile(join(root, 'usr/bin/acgs-lb'), 'utf8');
  expect(command).toContain('ACGS_AGENT_URL=http://127.0.0.1:9400');
  expect(spawnSync('sh', ['-n'], { input: command }).status).toBe(0);
  expect((await stat(join(root, 'etc/acgs-lb/agent.env'))).mode & 0o007).toBe(0);
  expect(await installed('etc/haproxy/haproxy.cfg.before-acgs-lb')).toBe('# the distribution\n');
  const version = spawnSync(
    join(root, 'usr/lib/acgs-lb/bin/node'),
    [join(root, 'usr/lib/acgs-lb/acgs-lb.mjs'), '--help'],
    { encoding: 'utf8' },
  );
  expect(version.stdout).toContain('Usage: acgs-lb');

  // The edge of an earlier version kept its state in the agent's folder.
  await mkdir(join(root, 'var/lib/acgs-lb/edge/objects'), { recursive: true });
  await appendFile(join(root, 'etc/acgs-lb/acgs-lb.yaml'), '# changed\n');
  await run(join(checkout, 'deploy/install.sh'), ['--root', root]);
  expect(await installed('etc/acgs-lb/acgs-lb.yaml')).toMatch(/# changed\n$/);
  expect(await installed('etc/acgs-lb/agent.env')).toBe(secrets);
  expect((await stat(join(root, 'var/lib/acgs-lb-edge/objects'))).isDirectory()).toBe(true);
  await expect(stat(join(root, 'var/lib/acgs-lb/edge'))).rejects.toThrow('ENOENT');
  expect((await stat(join(root, 'etc/acgs-lb/edge.env'))).mode & 0o077).toBe(0);

  await run(join(checkout, 'deploy/uninstall.sh'), ['--root', root]);
  expect(await installed('etc/haproxy/haproxy.cfg')).toBe('# the distribution\n');
  expect(await installed('etc/acgs-lb/agent.env')).toBe(secrets);
  await expect(stat(join(root, 'usr/bin/acgs-lb'))).rejects.toThrow('ENOENT');
  await expect(stat(join(root, 'etc/logrotate.d/haproxy'))).rejects.toThrow('ENOENT');
  await run(join(checkout, 'deploy/uninstall.sh'), ['--root', root, '--purge']);
  await expect(stat(join(root, 'etc/acgs-lb'))).rejects.toThrow('ENOENT');
});

test('the public edge runs as its own user, without access to the folders of the agent and of HAProxy', async () => {
  const unit = async (name: string) => {
    const text = await readFile(join(import.meta.dirname, `systemd/acgs-lb-${name}.service`), 'utf8');
    return (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
  };
  const [agent, edge] = [await unit('agent'), await unit('edge')];
  for (const key of ['User', 'Group', 'StateDirectory']) {
    expect(edge(key), key).toBe('acgs-lb-edge');
    expect(agent(key), key).toBe('acgs-lb');
  }
  expect(edge('SupplementaryGroups')).toBe('');
  expect(edge('InaccessiblePaths').split(' ')).toEqual(
    expect.arrayContaining(['-/etc/acgs-lb', '-/var/lib/acgs-lb', '-/run/haproxy']),
  );
  const script = await readFile(join(import.meta.dirname, 'install.sh'), 'utf8');
  expect(script).toContain('for user in acgs-lb acgs-lb-edge; do');
});

test.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)(
  'systemd-analyze accepts the units',
  async () => {
    const units = join(dir, 'units');
    await mkdir(units);
    for (const name of ['acgs-lb-agent.service', 'acgs-lb-edge.service']) {
      const text = await readFile(join(import.meta.dirname, 'systemd', name), 'utf8');
      // `verify` requires an installed program.
      await writeFile(join(units, name), text.replaceAll('/usr/bin/acgs-lb', '/bin/true'));
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', join(units, name)], {
        encoding: 'utf8',
      });
      expect(`${status} ${stdout}${stderr}`.trim()).toBe('0');
    }
  },
);
