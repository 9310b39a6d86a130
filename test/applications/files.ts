import { createHash, randomBytes } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Application, type CheckContext, mustEqual, nothingMissing } from './application.ts';
import { listen } from './node-server.ts';

const MB = 1_000_000;
const CHUNK = randomBytes(MB);
const sizeOf = ({ short }: CheckContext): number => (short ? 4 : 200);

function digestOf(megabytes: number): string {
  const hash = createHash('sha256');
  for (let i = 0; i < megabytes; i++) hash.update(CHUNK);
  return hash.digest('hex');
}

function* chunks(megabytes: number): Generator<Buffer> {
  for (let i = 0; i < megabytes; i++) yield CHUNK;
}

/**
 * `GET /<megabytes>` sends a file, also a part of it; PUT answers with length, digest and framing
 * of the body, and POST refuses the body without reading it.
 */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'GET') return send(request, response);
  if (request.method === 'POST') {
    response.writeHead(413).end('at most 1 MB');
    return;
  }
  const hash = createHash('sha256');
  let length = 0;
  for await (const chunk of request) {
    hash.update(chunk as Buffer);
    length += (chunk as Buffer).length;
  }
  const declared = request.headers['content-length'] ?? null;
  response.end(JSON.stringify({ length, digest: hash.digest('hex'), declared }));
}

function send({ url = '', headers }: IncomingMessage, response: ServerResponse): void {
  const megabytes = Number(url.slice(1));
  const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '');
  if (range) {
    const [from, to] = [Number(range[1]), Number(range[2])];
    const total = megabytes * MB;
    response.writeHead(206, { 'content-range': `bytes ${from}-${to}/${total}` });
    response.end(CHUNK.subarray(from, to + 1));
    return;
  }
  response.writeHead(200, { 'content-length': megabytes * MB });
  Readable.from(chunks(megabytes)).pipe(response);
}

async function download(context: CheckContext): Promise<void> {
  const megabytes = sizeOf(context);
  const response = await fetch(`${context.url}/${megabytes}`);
  mustEqual(response.headers.get('content-length'), String(megabytes * MB), 'Content-Length');
  const hash = createHash('sha256');
  for await (const part of response.body ?? []) hash.update(part);
  mustEqual(hash.digest('hex'), digestOf(megabytes), 'digest');
}

/** Without the proxy's help a client that still sends gets a reset. */
async function refused({ url }: CheckContext): Promise<void> {
  const response = await fetch(url, { method: 'POST', body: Buffer.alloc(12 * MB) });
  mustEqual([response.status, await response.text()], [413, 'at most 1 MB'], 'answer');
}

interface Upload {
  megabytes: number;
  /** Null: with Content-Length. */
  chunked: { everyMs: number; bytes: number } | null;
}

async function upload({ url }: CheckContext, { megabytes, chunked }: Upload): Promise<void> {
  const body = chunked ? Readable.from(paced(megabytes, chunked)) : Readable.from(chunks(megabytes));
  const response = await fetch(url, {
    method: 'PUT',
    body,
    duplex: 'half',
    ...(chunked ? {} : { headers: { 'content-length': String(megabytes * MB) } }),
  } as RequestInit);
  mustEqual(response.status, 200, 'status');
  const { length, digest } = (await response.json()) as { length: number; digest: string };
  mustEqual([length, digest], [megabytes * MB, digestOf(megabytes)], 'length and digest');
}

async function* paced(
  megabytes: number,
  { everyMs, bytes }: { everyMs: number; bytes: number },
): AsyncGenerator<Buffer> {
  for (let i = 0; i < megabytes; i++) {
    for (let from = 0; from < MB; from += bytes) {
      yield CHUNK.subarray(from, from + bytes);
      await sleep(everyMs);
    }
  }
}

export const FILES: Application = {
  id: 'files',
  name: 'Large files',
  needs: 'nothing; on Cloudflare a body is limited to 100 MB (Free, Pro) or 200 MB (Business)',
  missing: nothingMissing,
  start: () => listen((request, response) => void answer(request, response).catch(() => response.destroy())),
  checks: [
    { what: 'download of 200 MB', run: download },
    {
      what: 'ranges',
      async run({ url }) {
        const response = await fetch(`${url}/5`, { headers: { range: 'bytes=10-19' } });
        mustEqual(response.status, 206, 'status');
        mustEqual(Buffer.from(await response.arrayBuffer()).equals(CHUNK.subarray(10, 20)), true, 'part');
      },
    },
    {
      what: 'upload of 200 MB with `Content-Length`',
      run: (context) => upload(context, { megabytes: sizeOf(context), chunked: null }),
    },
    {
      what: 'chunked upload',
      run: (context) => upload(context, { megabytes: 3, chunked: { everyMs: 1, bytes: MB / 2 } }),
    },
    { what: 'an early 413 reaches a client that still sends', run: refused },
    {
      what: "chunked upload of 80 MB at 2 MB/s, far longer than the service's timeout",
      slow: true,
      run: (context) => upload(context, { megabytes: 80, chunked: { everyMs: 50, bytes: MB / 10 } }),
    },
  ],
};
