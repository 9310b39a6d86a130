import { join } from 'node:path';
import { freePort, requireFreePort } from '../ports.ts';
import { type RunningServer, type StartOptions, startChild, waitUntilReady } from './child.ts';
import { startInPrivateFolder } from './folder.ts';
import { tcpRequest } from './tcp-request.ts';

export interface LocalRedis extends RunningServer {
  url: string;
  port: number;
}

export interface LocalRedisOptions extends StartOptions {
  /** Default: a free port. */
  port?: number;
  /** Without a password, Redis needs no authentication. */
  password?: string;
  maxMemory?: string;
  /** More settings of redis.conf, as arguments. */
  settings?: readonly string[];
}

/** Starts a Redis on loopback without persistence. Throws PortTakenError when the port is in use. */
export async function startRedis(options: LocalRedisOptions = {}): Promise<LocalRedis> {
  const port = options.port ?? (await freePort());
  await requireFreePort(port, 'Redis');
  const { password } = options;
  return startInPrivateFolder('acgs-redis', options.parent, async (folder) => {
    const child = await startChild({
      name: 'redis-server',
      command: 'redis-server',
      args: [
        ...['--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
        ...['--save', '', '--appendonly', 'no'],
        ...['--maxmemory', options.maxMemory ?? '256mb', '--maxmemory-policy', 'allkeys-lru'],
        ...(password ? ['--requirepass', password] : []),
        ...(options.settings ?? []),
      ],
      cwd: folder,
      onSpawn: options.onSpawn,
      logFile: options.logFile ?? join(folder, 'redis.log'),
    });
    const ping = `${password ? `AUTH ${password}\r\n` : ''}PING\r\n`;
    const isComplete = (text: string) => text.includes('PONG');
    await waitUntilReady(child, async () =>
      isComplete(await tcpRequest({ port, host: '127.0.0.1' }, ping, { isComplete })),
    );
    return {
      url: `redis://${password ? `default:${password}@` : ''}127.0.0.1:${port}/0`,
      port,
      child,
      stop: () => child.stop(),
    };
  });
}
