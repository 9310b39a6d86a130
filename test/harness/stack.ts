import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { type Document, parseDocument } from 'yaml';
import { isPortFree, testWorker } from '../../dev/ports.ts';
import type { StackFile } from '../../dev/stack/stack-file.ts';

export const ROOT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** The local stack as `npm start` runs it, with its own state folder and ports. */
export interface TestStack {
  stack: StackFile;
  stateDir: string;
  offset: number;
  /** The process of `npm start`. */
  pid: number;
  /** Everything printed so far. */
  output(): string;
  /** Sends the signal and resolves with the exit code. */
  end(signal: NodeJS.Signals): Promise<number | null>;
  /** Stops the stack cleanly and removes its state folder. */
  stop(): Promise<void>;
}

export interface TestStackOptions {
  /** Changes to the shipped acgs-lb.yaml. */
  edit?: (document: Document) => void;
  /** The text of another configuration. */
  configText?: string;
  args?: readonly string[];
  env?: NodeJS.ProcessEnv;
  /** A folder that is kept when the stack stops. */
  stateDir?: string;
  readyWithinMs?: number;
}

export async function startStack(options: TestStackOptions = {}): Promise<TestStack> {
  const offset = await freeOffset();
  const stateDir = options.stateDir ?? mkdtempSync(join(tmpdir(), 'acgs-e2e-'));
  const config = join(stateDir, 'given.yaml');
  writeFileSync(config, options.configText ?? editedConfig(options.edit));
  const run = runStart(
    [
      ...['--no-install', '--config', config, '--state-dir', stateDir, '--port-offset', String(offset)],
      ...(options.args ?? []),
    ],
    options.env,
  );
  const stackFile = join(stateDir, 'stack.json');
  const deadline = Date.now() + (options.readyWithinMs ?? 180_000);
  while (!existsSync(stackFile)) {
    if (run.code() !== undefined) throw new Error(`the stack ended with ${run.code()}:\n${run.output()}`);
    if (Date.now() > deadline) {
      await run.end('SIGTERM');
      throw new Error(`the stack was not ready in time:\n${run.output()}\n${logs(stateDir)}`);
    }
    await sleep(50);
  }
  return {
    stack: JSON.parse(readFileSync(stackFile, 'utf8')) as StackFile,
    stateDir,
    offset,
    pid: run.pid,
    output: run.output,
    end: run.end,
    async stop() {
      await run.end('SIGTERM');
      if (!options.stateDir) rmSync(stateDir, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

export interface StartRun {
  pid: number;
  output(): string;
  stderr(): string;
  /** The exit code; undefined while it runs. */
  code(): number | null | undefined;
  ended: Promise<number | null>;
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** `npm start -- args`, without npm. */
export function runStart(args: readonly string[], env: NodeJS.ProcessEnv = {}): StartRun {
  const child: ChildProcess = spawn(process.execPath, [join(ROOT, 'dev/start.mjs'), ...args], {
    cwd: ROOT,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let stderr = '';
  let code: number | null | undefined;
  child.stdout?.on('data', (chunk) => {
    output += String(chunk);
  });
  child.stderr?.on('data', (chunk) => {
    output += String(chunk);
    stderr += String(chunk);
  });
  const ended = new Promise<number | null>((resolve) => {
    child.once('close', (value) => {
      code = value;
      resolve(value);
    });
  });
  return {
    pid: child.pid ?? 0,
    output: () => output,
    stderr: () => stderr,
    code: () => code,
    ended,
    end: (signal) => {
      child.kill(signal);
      return ended;
    },
  };
}

/** Removes every rate limit from the shipped configuration, for load tests. */
export function withoutLimits(document: Document): void {
  document.setIn(['defaults', 'rateLimits'], []);
  document.setIn(['haproxy', 'rateLimit'], 'off');
}

export function editedConfig(edit?: (document: Document) => void): string {
  const document = parseDocument(readFileSync(join(ROOT, 'acgs-lb.yaml'), 'utf8'));
  edit?.(document);
  return document.toString();
}

/**
 * A port offset at which all ports of the stack are free, between those of `freePort` and the ephemeral ports. The ports
 * of two stacks whose offsets differ by 50 are different modulo 100, so parallel test files do not collide.
 */
export async function freeOffset(): Promise<number> {
  for (let attempt = 0; attempt < 50; attempt++) {
    const offset = randomInt(190, 233) * 100 + testWorker * 50;
    const ports = [8787, 8090, 8080, 9400, 9401, 6390, 5442, 8000, 8016].map((port) => port + offset);
    const free = await Promise.all(ports.map((port) => isPortFree(port)));
    if (free.every(Boolean)) return offset;
  }
  throw new Error('no free port offset found');
}

export function logs(stateDir: string): string {
  return ['agent', 'edge', 'haproxy']
    .map((name) => join(stateDir, 'logs', `${name}.log`))
    .filter(existsSync)
    .map((file) => `${file}:\n${readFileSync(file, 'utf8').split('\n').slice(-15).join('\n')}`)
    .join('\n');
}
