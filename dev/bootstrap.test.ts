import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { packagesAreCurrent } from './bootstrap/packages.mjs';
import { installCommand, missingTestTools } from './bootstrap/servers.mjs';

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

  it('is content with what the lock says, and leaves a stamp to see it at once the next time', () => {
    expect(packagesAreCurrent(root)).toBe(true);
    rmSync(join(root, 'node_modules/.package-lock.json'));
    expect(packagesAreCurrent(root)).toBe(true);
  });

  it('is not content with another version, a half-made tree, or none', () => {
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

  it('says nothing when nothing is missing', () => {
    expect(run('--require-servers')).toMatchObject({ status: 0, stdout: '', stderr: '' });
  });

  it('goes on without Chromium and Prometheus, and says in one line what that costs', () => {
    const { status, stdout, stderr } = run('--require-servers', '--with-test-tools', '--no-install');
    const line = 'the tests that need it are skipped';
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout.trim().split('\n').at(-1)).toMatch(missingTestTools().length > 0 ? line : /^$/);
  });

  it('looks for each of the test tools, and has a package for it', () => {
    const none = { find: () => null };
    expect(missingTestTools({ chromium: none, prometheus: { find: () => '/usr/bin/promtool' } })).toEqual([
      'chromium',
    ]);
    expect(installCommand(['chromium', 'prometheus'])).toMatch(/install -y .*chromium \S*prometheus/);
  });

  it('refuses what it does not know', () => {
    const { status, stderr } = run('--requre-servers');
    expect(status).toBe(2);
    expect(stderr).toContain('unknown option --requre-servers');
  });

  it('knows the command for this system', () => {
    expect(installCommand(['haproxy', 'postgres'])).toMatch(
      /(apt-get|dnf|yum) install -y .*haproxy postgresql/,
    );
  });
});
