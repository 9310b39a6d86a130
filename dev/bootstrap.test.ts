import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packagesAreCurrent } from './bootstrap/packages.mjs';
import { aptScript, installCommand, missingTestTools } from './bootstrap/servers.mjs';

describe('packagesAreCurrent', () => {
  let root: string;
  const lock = (packages: object) => JSON.stringify({ packages: { '': {}, ...packages } });
  const write = (path: string, text: string) => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const programs = ['node/bin/node', '.bin/tsc', '.bin/vitest', '.bin/wrangler', '.bin/workerd'];
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'acgs-boot-'));
    for (const program of programs) write(`node_modules/${program}`, '');
    write('package-lock.json', lock({ a: { version: '1.0.0' }, b: { version: '2.0.0', optional: true } }));
    write('node_modules/.package-lock.json', lock({ a: { version: '1.0.0' } }));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  it('is true when the tree matches the lock file, and leaves a stamp for a fast next check', () => {
    expect(packagesAreCurrent(root)).toBe(true);
    rmSync(join(root, 'node_modules/.package-lock.json'));
    expect(packagesAreCurrent(root)).toBe(true);
  });

  it('is false for another version, an incomplete tree or none', () => {
    expect(packagesAreCurrent(root)).toBe(true);
    write('package-lock.json', lock({ a: { version: '1.0.1' } }));
    expect(packagesAreCurrent(root)).toBe(false);
    write('package-lock.json', lock({ a: { version: '1.0.0' } }));
    expect(packagesAreCurrent(root)).toBe(true);
    rmSync(join(root, 'node_modules/.bin/workerd'));
    expect(packagesAreCurrent(root)).toBe(false);
    rmSync(join(root, 'node_modules'), { recursive: true });
    expect(packagesAreCurrent(root)).toBe(false);
    expect(existsSync(join(root, 'node_modules'))).toBe(false);
  });
});

describe('node dev/bootstrap.mjs', () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, [join(import.meta.dirname, 'bootstrap.mjs'), ...args], { encoding: 'utf8' });

  it('prints nothing when nothing is missing', () => {
    expect(run('--require-servers')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('continues without Chromium and Prometheus and prints the consequence in one line', () => {
    const { status, stdout, stderr } = run('--require-servers', '--with-test-tools', '--no-install');
    const line = 'Tests that need them are skipped';
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.trim().split('\n').at(-1)).toMatch(missingTestTools().length > 0 ? line : /^$/);
  });

  it('finds each test tool and knows its package', () => {
    const none = { find: () => null };
    expect(missingTestTools({ chromium: none, prometheus: { find: () => '/usr/bin/promtool' } })).toEqual([
      'chromium',
    ]);
    expect(installCommand(['chromium', 'prometheus'])).toMatch(/install -y .*chromium \S*prometheus/);
  });

  it('rejects unknown options', () => {
    const { status, stderr } = run('--requre-servers');
    expect(status).toBe(2);
    expect(stderr).toContain('unknown option --requre-servers');
  });

  it('prints the install command of this system', () => {
    expect(installCommand(['haproxy', 'postgres'])).toMatch(
      /(apt-get|dnf|yum) install -y .*haproxy postgresql/,
    );
  });
});

describe('the installation of Debian packages', () => {
  const install = (exitCode: number) => {
    const root = mkdtempSync(join(tmpdir(), 'acgs-apt-'));
    const wants = join(root, 'units/multi-user.target.wants');
    mkdirSync(wants, { recursive: true });
    mkdirSync(join(root, 'bin'));
    writeFileSync(join(wants, 'ssh.service'), '');
    const program = (name: string, text: string) => {
      writeFileSync(join(root, 'bin', name), `#!/bin/sh\n${text}\n`);
      chmodSync(join(root, 'bin', name), 0o755);
    };
    // Like dpkg: the package enables its server, unless a policy forbids only the start.
    program('apt-get', `touch ${wants}/redis-server.service ${wants}/postgresql.service; exit ${exitCode}`);
    program('systemctl', `echo "$@" >> ${root}/systemctl`);
    program('deb-systemd-helper', 'exit 1');
    program('update-rc.d', 'exit 0');
    const script = aptScript({ policy: join(root, 'policy-rc.d'), units: join(root, 'units') });
    const { status } = spawnSync('sh', ['-c', script, 'sh', 'redis-server', 'postgresql'], {
      env: { PATH: `${join(root, 'bin')}:/usr/bin:/bin` },
    });
    const result = {
      status,
      enabled: readdirSync(wants),
      policy: existsSync(join(root, 'policy-rc.d')),
    };
    rmSync(root, { recursive: true, force: true });
    return result;
  };

  it('enables nothing at boot that was not enabled before', () => {
    expect(install(0)).toEqual({ status: 0, enabled: ['ssh.service'], policy: false });
  });

  it('leaves the machine the same when it fails', () => {
    expect(install(100)).toEqual({ status: 100, enabled: ['ssh.service'], policy: false });
  });
});
