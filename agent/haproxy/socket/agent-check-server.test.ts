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

test('answers what is desired, and nothing where nothing is', async () => {
  const port = await freePort();
  check = await startAgentCheckServer(`127.0.0.1:${port}`, (server) => {
    if (server === 's/up') return { verdict: 'up', reason: 'well' };
    return server === 's/down' ? { verdict: 'down', reason: '3 of 3 probes failed' } : null;
  });
  // Asked again where both sides, which share this process, were held up for longer than a connection is waited for.
  await eventually(async () => expect(await ask(port, 's/up\n')).toBe('up\n'));
  await eventually(async () => expect(await ask(port, 's/down\r\n')).toBe('down #3 of 3 probes failed\n'));
  await eventually(async () => expect(await ask(port, 's/other\n')).toBe(''));
  await eventually(async () => expect(await ask(port, 'x'.repeat(300))).toBe(''));
});

test('a reason stays one short line of plain text, apart from its word', () => {
  expect(formatAgentReply({ verdict: 'down', reason: 'a\nup\u00e9 b' })).toBe('down #a up b\n');
  expect(formatAgentReply({ verdict: 'down', reason: 'x'.repeat(500) }).length).toBeLessThan(120);
});

test('an address that is taken is an error', async () => {
  const port = await freePort();
  check = await startAgentCheckServer(`127.0.0.1:${port}`, () => null);
  await expect(startAgentCheckServer(`127.0.0.1:${port}`, () => null)).rejects.toThrow(
    'is taken by another process',
  );
});
