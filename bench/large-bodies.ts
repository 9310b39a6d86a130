import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Readable } from 'node:stream';
import { service } from './edge.ts';
import { startRig } from './rig.ts';
import { type BenchTable, tableOf } from './table.ts';

const MEBIBYTE = 1024 * 1024;
const SIZE = 1024 * MEBIBYTE;
const CHUNK = Buffer.alloc(256 * 1024, 'x');

/** Memory of workerd while 1 GiB goes up and 1 GiB comes down through the edge. */
export async function benchLargeBodies(): Promise<BenchTable[]> {
  const origin = createServer((incoming, response) => {
    let received = 0;
    incoming.on('data', (chunk: Buffer) => {
      received += chunk.length;
    });
    incoming.on('end', () => {
      if (incoming.method === 'PUT') return void response.end(String(received));
      response.setHeader('content-length', SIZE);
      largeBody().pipe(response);
    });
  });
  await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(origin.address() as AddressInfo).port}`;
  const rig = await startRig(url);
  try {
    const large = service(url, { timeout: 120_000, deadline: 130_000, rateLimits: [], access: [] });
    await rig.publish({ gateways: [], services: { large } });
    const before = rig.workerdRssBytes();
    let peak = before;
    const sampler = setInterval(() => {
      peak = Math.max(peak, rig.workerdRssBytes());
    }, 50);
    const down = await transfer(rig.edgeUrl, 'GET');
    const up = await transfer(rig.edgeUrl, 'PUT');
    clearInterval(sampler);
    if (down !== SIZE || up !== SIZE) throw new Error(`only ${down} bytes came down and ${up} went up`);
    return [
      tableOf('Memory of workerd', 'MiB', [
        { what: 'before', rounds: [before / MEBIBYTE] },
        { what: 'at most, 1 GiB down and 1 GiB up', rounds: [peak / MEBIBYTE] },
      ]),
    ];
  } finally {
    await rig.stop();
    origin.close();
  }
}

/** SIZE bytes; SIZE is a multiple of the chunk size. */
function largeBody(): Readable {
  return Readable.from(
    (function* () {
      for (let sent = 0; sent < SIZE; sent += CHUNK.length) yield CHUNK;
    })(),
  );
}

/** Returns the number of bytes that the other end received. */
function transfer(url: string, method: 'GET' | 'PUT'): Promise<number> {
  return new Promise((resolve, reject) => {
    const headers = method === 'PUT' ? { 'content-length': SIZE } : {};
    const call = request(`${url}/large`, { method, headers }, (response) => {
      let bytes = 0;
      let text = '';
      response.on('data', (chunk: Buffer) => {
        bytes += chunk.length;
        if (method === 'PUT') text += chunk.toString();
      });
      response.on('end', () => resolve(method === 'PUT' ? Number(text) : bytes));
      response.on('error', reject);
    });
    call.on('error', reject);
    if (method === 'PUT') largeBody().pipe(call);
    else call.end();
  });
}
