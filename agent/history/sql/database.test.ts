import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { openDatabase } from './database.ts';

/** AuthenticationOk and ReadyForQuery of the Postgres wire protocol. */
const WELCOME = Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 0, 0x5a, 0, 0, 0, 5, 0x49]);

/** Accepts every login and closes the connection at the first statement, like a server that is killed. */
async function dyingServer() {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => {
      socket.write(WELCOME);
      socket.once('data', () => socket.destroy());
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  return { server, port: (server.address() as AddressInfo).port };
}

test('a server that dies during a statement fails the statement and does not end the process', async () => {
  const { server, port } = await dyingServer();
  const uncaught: unknown[] = [];
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException').on('uncaughtException', (error) => uncaught.push(error));
  const url = `postgresql://u@127.0.0.1:${port}/d?sslmode=disable`;
  const database = openDatabase(url, 'main', { min: 0, max: 2, idle: 1_000 });
  try {
    await expect(database.query('SELECT 1')).rejects.toThrow();
    await expect(database.transaction(({ query }) => query('SELECT 1'))).rejects.toThrow();
    await new Promise((resolve) => setImmediate(resolve));
    expect(uncaught).toEqual([]);
  } finally {
    process.removeAllListeners('uncaughtException');
    for (const listener of others) process.on('uncaughtException', listener);
    await database.close();
    server.close();
  }
});
