import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually } from '../../../test/harness/eventually.ts';
import { createRuntimeClient, HaproxyUnreachable, type RuntimeClient } from './runtime-client.ts';

let releases: (() => void)[] = [];
afterEach(() => {
  for (const release of releases.reverse()) release();
  releases = [];
});

/** A server that speaks the interactive mode of HAProxy's socket, a few bytes at a time. */
async function fakeHaproxy(answer: (command: string, socket: Socket) => string | null) {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-rt-'));
  const path = join(folder, 's');
  const sockets = new Set<Socket>();
  const commands: string[] = [];
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket
      .on('error', () => undefined)
      .on('data', (chunk) => {
        text += String(chunk);
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const command = text.slice(0, end);
          text = text.slice(end + 1);
          commands.push(command);
          const response = command === 'prompt' ? '' : answer(command, socket);
          if (response !== null) writeInPieces(socket, `${response}\n> `);
        }
      });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  releases.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { path, commands, connections: () => sockets.size };
}

const writeInPieces = (socket: Socket, text: string): void => {
  for (const piece of text.match(/.{1,3}/gs) ?? []) socket.write(piece);
};

function client(socket: string, more = {}): RuntimeClient {
  const made = createRuntimeClient({ socket, timeoutMs: 60_000, ...more });
  releases.push(() => made.close());
  return made;
}

test('responses come in order over one connection, in chunks of any size', async () => {
  const { path, connections } = await fakeHaproxy((command) =>
    command === 'quiet' ? '' : `said ${command}\nand more\n`,
  );
  const runtime = client(path);
  const answers = await Promise.all(['a', 'quiet', 'b'].map((command) => runtime.execute(command)));
  expect(answers).toEqual(['said a\nand more', '', 'said b\nand more']);
  expect(connections()).toBe(1);
});

test('a command cannot contain a second command', async () => {
  const { path, commands } = await fakeHaproxy(() => '');
  await client(path).execute('set server a/b state ready\nshutdown');
  expect(commands).toEqual(['prompt', 'set server a/b state ready shutdown']);
});

test('a timeout rejects every waiting command; the next one reconnects', async () => {
  let silent = true;
  const { path, connections } = await fakeHaproxy((command) => (silent ? null : command));
  const runtime = client(path, { timeoutMs: 200 });
  const waiting = await Promise.allSettled([runtime.execute('a'), runtime.execute('b')]);
  expect(waiting.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  silent = false;
  // Retry: the server runs in this process and may have been blocked for as long.
  await eventually(async () => expect(await runtime.execute('c')).toBe('c'));
  expect(connections()).toBeGreaterThan(1);
});

test('a process that was blocked reads the received data before it reports a timeout', async () => {
  // The server needs its own process, because this one is blocked.
  const folder = mkdtempSync(join(tmpdir(), 'acgs-rt-'));
  const path = join(folder, 's');
  const answering = `require('net').createServer((s) => s.on('data', (text) => s.write(String(text).replace(/.*\\n/g, 'said\\n> ')))).listen(${JSON.stringify(path)})`;
  const server = spawn(process.execPath, ['-e', answering], { stdio: 'ignore' });
  releases.push(() => {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true });
  });
  const runtime = client(path, { timeoutMs: 300 });
  await eventually(async () => {
    await runtime.execute('a');
    const answer = runtime.execute('b');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 600);
    expect(await answer).toBe('said');
  });
});

test('a closed connection, no HAProxy at all and a full queue are HaproxyUnreachable', async () => {
  const closing = await fakeHaproxy((_, socket) => {
    socket.destroy();
    return null;
  });
  await expect(client(closing.path).execute('a')).rejects.toBeInstanceOf(HaproxyUnreachable);
  await expect(client('/nonexistent/s').execute('a')).rejects.toBeInstanceOf(HaproxyUnreachable);
  const { path } = await fakeHaproxy(() => null);
  const runtime = client(path, { maxPending: 2 });
  const asked = [runtime.execute('a'), runtime.execute('b'), runtime.execute('c')].map((each) =>
    each.catch(String),
  );
  expect(await asked[2]).toContain('2 commands are already waiting');
});
