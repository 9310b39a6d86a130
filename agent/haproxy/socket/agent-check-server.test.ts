import { once } from 'node:events';
import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../../../dev/ports.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import {
  type AgentCheckLookup,
  type AgentCheckServer,
  formatAgentReply,
  haproxyAddressCheck,
  startAgentCheckServer,
} from './agent-check-server.ts';

let check: AgentCheckServer | null = null;
afterEach(async () => {
  await check?.close();
  check = null;
});

function ask(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    socket.setEncoding('utf8').on('data', (chunk) => {
      answer += String(chunk);
    });
    socket.on('error', reject).on('close', () => resolve(answer));
  });
}

const lookup: AgentCheckLookup = (server) => {
  if (server === 's/up') return { verdict: 'up', reason: 'well' };
  return server === 's/down' ? { verdict: 'down', reason: '3 of 3 probes failed' } : null;
};

test('answers the verdict, or nothing for a server without one', async () => {
  const port = await freePort();
  check = await startAgentCheckServer({ bind: `127.0.0.1:${port}`, lookup, isHaproxy: () => true });
  // Client and server share this process: retry when a busy machine blocks it for longer than the idle timeout.
  await eventually(async () => expect(await ask(port, 's/up\n')).toBe('up\n'));
  await eventually(async () => expect(await ask(port, 's/down\r\n')).toBe('down #3 of 3 probes failed\n'));
  await eventually(async () => expect(await ask(port, 's/other\n')).toBe(''));
  await eventually(async () => expect(await ask(port, 'x'.repeat(300))).toBe(''));
});

test('the reason is one short line of ASCII text, separated from the verdict by a blank', () => {
  expect(formatAgentReply({ verdict: 'down', reason: 'a\nup\u00e9 b' })).toBe('down #a up b\n');
  expect(formatAgentReply({ verdict: 'down', reason: 'x'.repeat(500) }).length).toBeLessThan(120);
});

test('an address in use is an error', async () => {
  const port = await freePort();
  check = await startAgentCheckServer({ bind: `127.0.0.1:${port}`, lookup, isHaproxy: () => true });
  await expect(
    startAgentCheckServer({ bind: `127.0.0.1:${port}`, lookup, isHaproxy: () => true }),
  ).rejects.toThrow('is in use by another process');
});

/** Connections that send a byte every `everyMs`, or nothing; resolves when all are open. */
async function openIdle(port: number, count: number, options: { localAddress: string; everyMs?: number }) {
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ port, host: '127.0.0.1', localAddress: options.localAddress });
      socket.on('error', () => undefined);
      await once(socket, 'connect');
      if (options.everyMs !== undefined) {
        const timer = setInterval(() => socket.write('x'), options.everyMs);
        socket.on('close', () => clearInterval(timer));
      }
      return {
        socket,
        closed: new Promise<number>((resolve) => socket.on('close', () => resolve(performance.now()))),
      };
    }),
  );
  return sockets;
}

test('a connection that sends a byte now and then ends at the deadline of the exchange', async () => {
  const port = await freePort();
  const limits = { deadlineMs: 300, haproxyConnections: 10, otherConnections: 10 };
  check = await startAgentCheckServer({ bind: `127.0.0.1:${port}`, lookup, isHaproxy: () => true, limits });
  const started = performance.now();
  const [slow] = await openIdle(port, 1, { localAddress: '127.0.0.1', everyMs: 50 });
  expect(((await slow?.closed) ?? 0) - started).toBeGreaterThan(250);
  // The length of the request did not end it.
  expect(slow?.socket.bytesWritten).toBeLessThan(200);
});

test.each(['127.0.0.1', '127.0.0.9'])(
  'idle connections from %s do not shut HAProxy out',
  async (localAddress) => {
    const port = await freePort();
    const limits = { deadlineMs: 30_000, haproxyConnections: 20, otherConnections: 5 };
    const isHaproxy = (address: string) => address === '127.0.0.1';
    check = await startAgentCheckServer({ bind: `127.0.0.1:${port}`, lookup, isHaproxy, limits });
    const idle = await openIdle(port, 100, { localAddress });
    expect(await ask(port, 's/up\n')).toBe('up\n');
    await eventually(() => {
      const open = idle.filter(({ socket }) => !socket.destroyed).length;
      expect(open).toBeLessThanOrEqual(localAddress === '127.0.0.1' ? 20 : 5);
    });
    for (const { socket } of idle) socket.destroy();
  },
);

test('HAProxy connects from loopback, an address of this host, or that of a TCP admin socket', () => {
  const isHaproxy = haproxyAddressCheck(['/run/haproxy/admin.sock', '192.0.2.7:9999']);
  const addresses = ['127.0.0.1', '127.1.2.3', '::1', '192.0.2.7', '192.0.2.8', ''];
  expect(addresses.map(isHaproxy)).toEqual([true, true, true, true, false, false]);
});
