import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { expect, test, vi } from 'vitest';

const installed = (command: string) => spawnSync('sh', ['-c', `command -v ${command}`]).status === 0;

test.skipIf(!installed('logrotate') || process.getuid?.() !== 0)(
  'rotates daily, keeps 30, reloads HAProxy',
  () => {
    const folder = mkdtempSync(join(tmpdir(), 'acgs-rotate-'));
    try {
      mkdirSync(join(folder, 'log'));
      mkdirSync(join(folder, 'bin'));
      writeFileSync(join(folder, 'bin/systemctl'), `#!/bin/sh\necho "$@" > ${folder}/systemctl-args\n`, {
        mode: 0o755,
      });
      const rules = readFileSync('deploy/logrotate/haproxy', 'utf8')
        .replace('/var/log/haproxy/*.log', `${folder}/log/*.log`)
        .replaceAll('/usr/lib/rsyslog/rsyslog-rotate', `${folder}/none`);
      writeFileSync(join(folder, 'rules'), rules, { mode: 0o644 });
      for (let turn = 0; turn < 33; turn++) {
        writeFileSync(join(folder, 'log/haproxy.log'), `line ${turn}\n`);
        execFileSync('logrotate', ['-f', '-s', join(folder, 'state'), join(folder, 'rules')], {
          env: { ...process.env, PATH: `${folder}/bin:${process.env.PATH}` },
        });
      }
      const kept = readdirSync(join(folder, 'log')).filter((name) => /\.\d+(\.gz)?$/.test(name));
      expect(kept).toHaveLength(30);
      expect(kept.filter((name) => name.endsWith('.gz'))).toHaveLength(29);
      expect(readFileSync(join(folder, 'systemctl-args'), 'utf8')).toBe('reload haproxy\n');
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test.skipIf(!installed('rsyslogd') || !installed('logger') || process.getuid?.() !== 0)(
  'writes only HAProxy log lines to its file',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'acgs-rs-'));
    const rules = readFileSync('deploy/rsyslog/49-haproxy.conf', 'utf8')
      .replace('/var/lib/haproxy/dev/log', `${folder}/socket`)
      .replace('/var/log/haproxy/', `${folder}/`);
    // Debian's configuration loads the module. Without DNS the test needs no resolver.
    const head = 'global(net.enableDNS="off")\nmodule(load="imuxsock" SysSock.Use="off")\n';
    writeFileSync(join(folder, 'conf'), `${head}${rules}`);
    const server = spawn('rsyslogd', ['-n', '-i', 'NONE', '-f', join(folder, 'conf')]);
    let errors = '';
    server.stderr.on('data', (chunk) => {
      errors += chunk;
    });
    const gone = new Promise((resolve) => server.once('exit', resolve));
    const log = (tag: string, text: string) =>
      execFileSync('logger', ['-u', join(folder, 'socket'), '-p', 'local0.info', '-t', tag, text], {
        stdio: 'ignore',
      });
    const file = join(folder, 'haproxy.log');
    const read = () =>
      existsSync(file) ? readFileSync(file, 'utf8') : `no log file; rsyslogd printed: ${errors}`;
    const retry = { timeout: 45_000, interval: 200 };
    try {
      // Repeat: a datagram sent while rsyslogd starts may be lost.
      await vi.waitFor(() => {
        log('other[8]', 'not ours');
        log('haproxy[7]', 'GET /api/v1/auth 200');
        expect(read()).toContain('GET /api/v1/auth 200');
      }, retry);
      expect(read()).toMatch(/^\d{4}-\d\d-\d\dT.* haproxy\[7\]: GET/m);
      expect(read()).not.toContain('not ours');
    } finally {
      server.kill();
      await gone;
      rmSync(folder, { recursive: true, force: true });
    }
  },
);

test.skipIf(!installed('redis-server'))('Redis accepts the settings of the original guide', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-rc-'));
  const socket = join(folder, 's');
  const args = ['deploy/redis/acgs-lb.conf', '--port', '0', '--unixsocket', socket, '--dir', folder];
  const server = spawn('redis-server', args, { stdio: 'ignore' });
  const gone = new Promise((resolve) => server.once('exit', resolve));
  const client = new Redis({ path: socket, maxRetriesPerRequest: null });
  client.on('error', () => {});
  try {
    expect(await client.config('GET', 'maxmemory')).toEqual(['maxmemory', String(2 * 1024 ** 3)]);
    expect(await client.config('GET', 'maxmemory-policy')).toContain('allkeys-lru');
    expect(await client.config('GET', 'save')).toEqual(['save', '900 1 300 10 60 10000']);
  } finally {
    client.disconnect();
    server.kill();
    await gone;
    rmSync(folder, { recursive: true, force: true });
  }
});
