import { connect } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { freePort } from '../../../dev/ports.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import { type AgentCheckServer, formatAgentReply, startAgentCheckServer } from './agent-check-server.ts';

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

test('answers the verdict, or nothing for a server without one', async () => {
  const port = await freePort();
  check = await startAgentCheckServer(`127.0.0.1:${port}`, (server) => {
    if (server === 's/up') return { verdict: 'up', reason: 'well' };
    return server === 's/down' ? { verdict: 'down', reason: '3 of 3 probes failed' } : null;
  });
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
  check = await startAgentCheckServer(`127.0.0.1:${port}`, () => null);
  await expect(startAgentCheckServer(`127.0.0.1:${port}`, () => null)).rejects.toThrow(
    'is in use by another process',
  );
});
