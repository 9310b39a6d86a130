import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const CONNECTIONS = 32;
/** Largest share of failed requests with which a figure is valid. */
const MAX_FAILED = 0.001;

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

export interface WrkLoad {
  seconds: number;
  connections?: number;
  headers?: readonly string[];
  /** Length of the body of a POST. Without it wrk sends GET. */
  bodyBytes?: number;
  /**
   * Mean requests per second of all connections together. Each connection waits an exponentially distributed time before
   * each request. Without it every connection sends its next request at once.
   */
  rate?: number;
}

/** Times in milliseconds. */
export interface WrkResult {
  requests: number;
  perSecond: number;
  /** Only responses with status 2xx or 3xx. */
  succeededPerSecond: number;
  p50: number;
  p99: number;
  /** Responses with another status than 2xx or 3xx, connection errors and timeouts. */
  failed: number;
}

/** Sends requests with one thread of wrk. */
export async function runWrk(url: string, load: WrkLoad): Promise<WrkResult> {
  const { seconds, connections = CONNECTIONS, headers = [] } = load;
  const folder = mkdtempSync(join(tmpdir(), 'acgs-wrk-'));
  const script = join(folder, 'load.lua');
  writeFileSync(script, scriptOf(load, connections));
  const headerArgs = headers.flatMap((header) => ['-H', header]);
  const args = ['-t1', `-c${connections}`, `-d${seconds}s`, '--latency', '-s', script, ...headerArgs, url];
  try {
    const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    child.stdout.on('data', (chunk) => {
      text += String(chunk);
    });
    await once(child, 'close');
    return parseWrk(text);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Sends GET requests; throws when more than one in a thousand fails. */
export async function wrk(url: string, seconds: number, headers: readonly string[] = []): Promise<WrkResult> {
  return wrkOrThrow(url, { seconds, headers });
}

export async function wrkOrThrow(url: string, load: WrkLoad): Promise<WrkResult> {
  const result = await runWrk(url, load);
  if (result.requests === 0) throw new Error(`${url}: no responses`);
  if (result.failed > result.requests * MAX_FAILED) {
    throw new Error(`${url}: ${result.failed} of ${result.requests} requests failed`);
  }
  return result;
}

function scriptOf({ bodyBytes, rate }: WrkLoad, connections: number): string {
  const lines: string[] = [];
  if (bodyBytes !== undefined) {
    lines.push(`wrk.method = "POST"`, `wrk.body = string.rep("x", ${bodyBytes})`);
  }
  if (rate !== undefined) {
    const pauseMs = (connections / rate) * 1_000;
    lines.push(
      'math.randomseed(os.time())',
      `function delay() return math.floor(0.5 - math.log(1 - math.random()) * ${pauseMs.toFixed(3)}) end`,
    );
  }
  return `${lines.join('\n')}\n`;
}

export function parseWrk(text: string): WrkResult {
  const find = (pattern: RegExp): number => Number(pattern.exec(text)?.[1] ?? 0);
  const percentile = (name: string): number => {
    const [, value = '0', unit = 'ms'] =
      new RegExp(`\\b${name}%\\s+([\\d.]+)(us|ms|s|m)\\b`).exec(text) ?? [];
    return Number(value) * ({ us: 0.001, ms: 1, s: 1_000, m: 60_000 }[unit] ?? 1);
  };
  const [, ...errors] =
    /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(text) ?? [];
  const requests = find(/(\d+) requests in/);
  const perSecond = find(/Requests\/sec:\s+([\d.]+)/);
  const refused = find(/Non-2xx or 3xx responses: (\d+)/);
  return {
    requests,
    perSecond,
    succeededPerSecond: perSecond * (1 - refused / (requests || 1)),
    p50: percentile('50'),
    p99: percentile('99'),
    failed: refused + errors.reduce((sum, count) => sum + Number(count), 0),
  };
}
