import { existsSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { describe, expect, it } from 'vitest';
import { until } from '../../test/harness/until.ts';
import { freePort, PortTakenError } from '../ports.ts';
import { createPrivateFolder, removeFolder } from './folder.ts';
import { haproxyCommand, startHaproxy } from './haproxy.ts';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';

const gone = (pid: number) => !existsSync(`/proc/${pid}`);

describe('server starters', () => {
  it('start and stop Redis', async () => {
    const redis = await startRedis({ password: 'secret' });
    const client = new Redis(redis.url);
    expect(await client.ping()).toBe('PONG');
    expect(await client.config('GET', 'maxmemory-policy')).toContain('allkeys-lru');
    client.disconnect();
    await redis.stop();
    expect(gone(redis.child.pid)).toBe(true);
  });

  it('start and stop Postgres with the role and database of the application', async () => {
    const postgres = await startPostgres();
    const client = new Client({ connectionString: postgres.url });
    await client.connect();
    const { rows } = await client.query('SELECT current_user AS who, current_database() AS db');
    expect(rows[0]).toEqual({ who: 'acgs_lb_user', db: 'acgs_lb' });
    await client.query('CREATE TABLE t (id int)');
    await client.end();
    await postgres.stop();
    expect(gone(postgres.child.pid)).toBe(true);
  });

  it('start and stop HAProxy behind its master socket', async () => {
    const folder = createPrivateFolder('acgs-t');
    const configFile = join(folder, 'h.cfg');
    const port = await freePort();
    writeFileSync(
      configFile,
      `defaults\n  mode http\n  timeout client 1m\n  timeout connect 1m\n  timeout server 1m\nfrontend f\n  bind 127.0.0.1:${port}\n  http-request return status 200\n`,
    );
    const haproxy = await startHaproxy({ configFile });
    expect((await fetch(`http://127.0.0.1:${port}/`)).status).toBe(200);
    const worker = async () => (await haproxyCommand(haproxy.masterSocket, 'show proc')).includes('worker');
    expect(await until(worker)).toBe(true);
    await haproxy.stop();
    expect(gone(haproxy.child.pid)).toBe(true);
    writeFileSync(configFile, 'nonsense\n');
    await expect(startHaproxy({ configFile })).rejects.toThrow(/haproxy rejects .*nonsense/s);
    removeFolder(folder);
  });

  it('name the port in use and the server that needs it', async () => {
    const port = await freePort();
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve));
    await expect(startRedis({ port })).rejects.toThrow(PortTakenError);
    await expect(startPostgres({ port })).rejects.toThrow(`port ${port} for Postgres is already in use`);
    await new Promise((resolve) => server.close(resolve));
  });
});
