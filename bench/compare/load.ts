import { Agent, request } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

/** One request as its client saw it. Instants in milliseconds since the start of the load. */
export interface Sample {
  readonly method: 'GET' | 'POST';
  readonly startedAt: number;
  readonly ms: number;
  readonly failed: boolean;
}

export interface PoissonOptions {
  /** Requests a second; arrivals are a Poisson process, so a slow answer does not delay the next request. */
  rate: number;
  durationMs: number;
  /** Ends the load before `durationMs`. */
  signal?: AbortSignal;
}

export interface LoadOptions extends PoissonOptions {
  url: string;
  /** Share of POSTs, 0–1. */
  postShare: number;
}

const CLIENT_TIMEOUT_MS = 10_000;
const BODY = 'y'.repeat(256);
let sequence = 0;

/** Sends the load and resolves when the last request has ended. */
export async function runLoad(options: LoadOptions): Promise<Sample[]> {
  const agent = new Agent({ keepAlive: true, maxSockets: Number.POSITIVE_INFINITY });
  const began = performance.now();
  const samples = await poisson(options, () =>
    sendOne(options.url, Math.random() < options.postShare ? 'POST' : 'GET', agent, began),
  );
  agent.destroy();
  return samples;
}

/** Calls `send` at the arrivals of a Poisson process and resolves with all its results. */
export async function poisson<T>(
  { rate, durationMs, signal }: PoissonOptions,
  send: () => Promise<T>,
): Promise<T[]> {
  const began = performance.now();
  const running: Promise<T>[] = [];
  let due = 0;
  for (;;) {
    due += (-Math.log(1 - Math.random()) / rate) * 1_000;
    if (due > durationMs || signal?.aborted) break;
    const wait = due - (performance.now() - began);
    if (wait > 0) await sleep(wait);
    running.push(send());
  }
  return Promise.all(running);
}

function sendOne(url: string, method: Sample['method'], agent: Agent, began: number): Promise<Sample> {
  const startedAt = performance.now() - began;
  return new Promise((resolve) => {
    const end = (failed: boolean): void =>
      resolve({ method, startedAt, ms: performance.now() - began - startedAt, failed });
    const headers = { 'x-compare-id': `${process.pid}-${sequence++}` };
    const body = method === 'POST' ? BODY : undefined;
    const outgoing = request(
      url,
      { method, agent, headers: body ? { ...headers, 'content-length': body.length } : headers },
      (response) => {
        const announced = Number(response.headers['content-length'] ?? Number.NaN);
        let received = 0;
        response.on('data', (chunk: Buffer) => {
          received += chunk.length;
        });
        response.once('end', () => {
          const isWhole = Number.isNaN(announced) || received === announced;
          end((response.statusCode ?? 0) >= 400 || !response.complete || !isWhole);
        });
        response.once('error', () => end(true));
        response.once('aborted', () => end(true));
      },
    );
    outgoing.setTimeout(CLIENT_TIMEOUT_MS);
    const timer = setTimeout(() => outgoing.destroy(new Error('client timeout')), CLIENT_TIMEOUT_MS);
    outgoing.once('close', () => clearTimeout(timer));
    outgoing.once('error', () => end(true));
    outgoing.end(body);
  });
}
