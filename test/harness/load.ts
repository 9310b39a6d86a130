import { spawn } from 'node:child_process';
import { findProgram } from '../../dev/bootstrap/run.mjs';

export interface LoadResult {
  requests: number;
  perSecond: number;
  /** Responses that are neither 2xx nor 3xx, and failed connections. */
  failed: number;
  /** The lines of wrk about them. */
  detail: string;
  /** Milliseconds. */
  p50: number;
  p99: number;
  max: number;
}

export interface LoadRun {
  result: Promise<LoadResult>;
  stop(): void;
}

/** Sends GET requests with wrk (Debian package `wrk`), or those of a Lua `script`. A request fails after 10 s. */
export function startLoad(
  url: string,
  {
    seconds = 20,
    connections = 64,
    script,
  }: { seconds?: number; connections?: number; script?: string } = {},
): LoadRun {
  const wrk = findProgram('wrk');
  if (!wrk) throw new Error('wrk is not installed: apt-get install wrk');
  const args = [
    '-t',
    '1',
    '-c',
    String(connections),
    '-d',
    `${seconds}s`,
    '--timeout',
    '10s',
    '--latency',
    ...(script ? ['-s', script] : []),
    url,
  ];
  const child = spawn(wrk, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.on('data', (chunk) => {
    output += String(chunk);
  });
  return {
    result: new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', () => resolve(parseWrk(output)));
    }),
    stop: () => void child.kill('SIGINT'),
  };
}

function parseWrk(output: string): LoadResult {
  const number = (pattern: RegExp) => Number(pattern.exec(output)?.[1] ?? 0);
  const errors = /Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)/.exec(output);
  const socket = (errors?.slice(1) ?? []).reduce((sum, count) => sum + Number(count), 0);
  const statuses = number(/Non-2xx or 3xx responses: (\d+)/);
  return {
    requests: number(/(\d+) requests in/),
    perSecond: number(/Requests\/sec:\s+([\d.]+)/),
    failed: socket + statuses,
    detail:
      [errors?.[0], statuses ? `Non-2xx or 3xx responses: ${statuses}` : null].filter(Boolean).join('; ') ||
      'none',
    p50: milliseconds(/50%\s+([\d.]+)(us|ms|s)/.exec(output)),
    p99: milliseconds(/99%\s+([\d.]+)(us|ms|s)/.exec(output)),
    max: milliseconds(/Latency\s+\S+\s+\S+\s+([\d.]+)(us|ms|s)/.exec(output)),
  };
}

function milliseconds(match: RegExpExecArray | null): number {
  const scale = { us: 0.001, ms: 1, s: 1000 }[match?.[2] ?? 'ms'] ?? 1;
  return Number(match?.[1] ?? 0) * scale;
}
