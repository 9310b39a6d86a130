import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type FakeAgent, startFakeAgent } from '../browser/fake-agent.ts';
import { until } from '../harness/until.ts';

const MAIN = new URL('../../agent/cli/main.ts', import.meta.url).pathname;
/** Cursor visible, main screen. */
const RESTORED = '\x1b[?25h\x1b[?1049l';
/** `script` gives the command a terminal of its own. */
const hasScript = spawnSync('script', ['--version']).status === 0;

let agent: FakeAgent;
let running: Watch | undefined;
beforeAll(async () => {
  agent = await startFakeAgent();
});
afterEach(() => running?.process.kill('SIGKILL'));
afterAll(() => agent?.close());

const shown = async (happened: () => boolean): Promise<void> => expect(await until(happened)).toBe(true);

interface Watch {
  process: ChildProcess;
  output(): string;
  ended: Promise<number | null>;
  /** The process id of the command in the terminal. */
  pid(): number;
}

async function watch(columns: number, rows: number): Promise<Watch> {
  const command = `stty cols ${columns} rows ${rows}; exec ${process.execPath} ${MAIN} status --watch`;
  const child = spawn('script', ['-qefc', command, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm', ACGS_AGENT_URL: agent.url, FORCE_COLOR: '0' },
  });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString();
  });
  running = {
    process: child,
    output: () => output,
    ended: once(child, 'exit').then(([code]) => code as number | null),
    pid: () => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, 'utf8')),
  };
  await shown(() => output.includes('q quit'));
  return running;
}

test.skipIf(!hasScript)(
  'q ends with 0, Ctrl-C with 130, SIGTERM with 143; each restores the terminal',
  async () => {
    for (const [end, code] of [
      [(one: Watch) => one.process.stdin?.write('q'), 0],
      [(one: Watch) => one.process.stdin?.write('\x03'), 130],
      [(one: Watch) => process.kill(one.pid(), 'SIGTERM'), 143],
    ] as const) {
      const one = await watch(80, 24);
      expect(one.output()).toContain('\x1b[?1049h');
      expect(one.output()).not.toContain(RESTORED);
      end(one);
      expect(await one.ended).toBe(code);
      expect(one.output()).toContain(RESTORED);
    }
  },
);

test.skipIf(!hasScript)('scrolls, lists all instances, and reconnects', async () => {
  const one = await watch(80, 24);
  expect(one.output()).toContain('all 2');
  expect(one.output()).not.toContain('gs-1  ');
  one.process.stdin?.write('a');
  await shown(() => /gs-1 +up/.test(one.output()));
  expect(one.output()).toMatch(/ 1–\d+ of \d+/);
  one.process.stdin?.write('\x1b[6~');
  await shown(() => / 1\d–\d+ of \d+/.test(one.output()));
  agent.dropConnections();
  await shown(() => one.output().includes('retrying; showing the state of'));
  const before = one.output().length;
  await shown(() => {
    const frames = one.output().slice(before).split('\x1b[H').slice(1);
    return frames.some((frame) => frame.includes('q quit') && !frame.includes('retrying'));
  });
});
