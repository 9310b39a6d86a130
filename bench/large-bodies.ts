import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { SnapshotService } from '../shared/snapshot/snapshot.ts';
import { startRig } from './rig.ts';

const MEBIBYTE = 1024 * 1024;
const SIZE = 1024 * MEBIBYTE;
const CHUNK = Buffer.alloc(256 * 1024, 'x');

/** Memory of workerd while 1 GiB goes up and 1 GiB comes down through the edge. */
export async function benchLargeBodies(): Promise<void> {
  const origin = createServer((incoming, answer) => {
    let received = 0;
    incoming.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    incoming.on('end', () => {
      if (incoming.method === 'PUT') return void answer.end(String(received));
      answer.setHeader('content-length', SIZE);
      let sent = 0;
      const more = (): void => {
        while (sent < SIZE) {
          sent += CHUNK.length;
          if (!answer.write(CHUNK)) return void answer.once('drain', more);
        }
        answer.end();
      };
      more();
    });
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const rig = await startRig(url);
  try {
    await rig.publish({ gateways: [], services: { large: service(url) } });
    const before = rig.workerdRssBytes();
    let peak = before;
    const sampler = setInterval(() => {
      peak = Math.max(peak, rig.workerdRssBytes());
    }, 50);
    const down = await transfer(rig.edgeUrl, 'GET');
    const up = await transfer(rig.edgeUrl, 'PUT');
    clearInterval(sampler);
    const mib = (bytes: number): number => Math.round(bytes / MEBIBYTE);
    console.log(
      `\n1 GiB down ${mib(down)} MiB received, up ${mib(up)} MiB received; workerd ${mib(before)} MiB before, at most ${mib(peak)} MiB`,
    );
  } finally {
    await rig.stop();
    origin.close();
  }
}

function transfer(url: string, method: 'GET' | 'PUT'): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = method === 'PUT' ? { 'content-length': SIZE } : {};
    const call = request(`${url}/large`, { method, headers }, (answer) => {
      let bytes = 0;
      let text = '';
      answer.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (method === 'PUT') text += chunk.toString();
      });
      answer.on('end', () => resolve(method === 'PUT' ? Number(text) : bytes));
      answer.on('error', reject);
    });
    call.on('error', reject);
    if (method === 'GET') return void call.end();
    let sent = 0;
    const more = (): void => {
      while (sent < SIZE) {
        sent += CHUNK.length;
        if (!call.write(CHUNK)) return void call.once('drain', more);
      }
      call.end();
    };
    more();
  });
}

const service = (url: string): SnapshotService => ({
  routes: ['/'],
  timeout: 120_000,
  deadline: 130_000,
  path: 'direct',
  strategy: 'round_robin',
  failover: {
    strategy: 'immediate',
    maxAttempts: 1,
    retryBudget: 0.2,
    backoff: 0,
    hedge: false,
    class: 5,
    staleIfError: 0,
  },
  affinity: { by: 'none', ttl: 1_000 },
  rateLimits: [],
  access: [],
  slowStart: 0,
  instances: [{ id: 'large-1', url, state: 'up', reason: '', since: 1 }],
});
