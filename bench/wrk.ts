import { spawn } from 'node:child_process';
import { once } from 'node:events';

export const CONNECTIONS = 32;

export const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;

/** Sends GET requests with one thread of wrk. `p99` is in milliseconds. */
export async function wrk(
  url: string,
  seconds: number,
  headers: readonly string[] = [],
): Promise<{ requests: number; perSecond: number; p99: number; failed: number }> {
  const headerArgs = headers.flatMap((header) => ['-H', header]);
  const args = ['-t1', `-c${CONNECTIONS}`, `-d${seconds}s`, '--latency', ...headerArgs, url];
  const child = spawn('wrk', args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
  });
  await once(child, 'close');
  const find = (pattern: RegExp): string => pattern.exec(text)?.[1] ?? '0';
  const p99 = /99%\s+([\d.]+)(us|ms|s)/.exec(text);
  const unit = { us: 0.001, ms: 1, s: 1000 }[p99?.[2] ?? 'ms'] ?? 1;
  return {
    requests: Number(find(/(\d+) requests in/)),
    perSecond: Number(find(/Requests\/sec:\s+([\d.]+)/)),
    failed: Number(find(/Non-2xx or 3xx responses: (\d+)/)),
    p99: Number(p99?.[1] ?? 0) * unit,
  };
}
