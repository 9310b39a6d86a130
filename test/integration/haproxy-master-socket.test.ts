import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requestReload } from '../../agent/haproxy/socket/master.ts';
import { createRuntimeClient, type RuntimeClient } from '../../agent/haproxy/socket/runtime-client.ts';
import { createPrivateFolder, removeFolder } from '../../dev/servers/folder.ts';
import { type LocalHaproxy, startHaproxy } from '../../dev/servers/haproxy.ts';

/** A real HAProxy whose admin socket loses its file: a reload does not create it again, because it keeps the listener. */

let folder: string;
let socket: string;
let haproxy: LocalHaproxy;
let client: RuntimeClient;

const start = () => startHaproxy({ configFile: join(folder, 'haproxy.cfg') });

beforeAll(async () => {
  folder = createPrivateFolder('acgs-ms');
  socket = join(folder, 'a.sock');
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `global
  stats socket ${socket} mode 600 level admin expose-fd listeners
defaults
  mode http
  timeout connect 1s
  timeout client 1s
  timeout server 1s
backend gs
  server gs-1 127.0.0.1:1
  server gs-2 127.0.0.1:1
`,
  );
  haproxy = await start();
});
afterAll(async () => {
  client.close();
  await haproxy.stop();
  removeFolder(folder);
});

const pidOf = (info: string): string | undefined => /^Pid: (\d+)/m.exec(info)?.[1];
const isInMaint = async (server: string): Promise<boolean> =>
  new RegExp(`^\\d+ gs \\d+ ${server} \\S+ 0 1 `, 'm').test(await client.execute('show servers state gs'));

test('without the file of the admin socket, commands take the master socket until HAProxy is restarted', async () => {
  client = createRuntimeClient({ socket, masterSocket: haproxy.masterSocket });
  const before = pidOf(await client.execute('show info'));
  expect(client.problem()).toBeNull();

  rmSync(socket);
  client.disconnect();
  // Together: the master takes one command at a time.
  const [info, ...answers] = await Promise.all(
    ['show info', 'set server gs/gs-1 state maint', 'set server gs/none state maint'].map((command) =>
      client.execute(command),
    ),
  );
  expect(pidOf(info ?? '')).toBe(before);
  expect(answers).toEqual(['', 'No such server.']);
  expect([await isInMaint('gs-1'), await isInMaint('gs-2')]).toEqual([true, false]);
  expect(client.problem()).toContain(`${socket} is gone`);

  await requestReload(haproxy.masterSocket);
  await expect
    .poll(async () => pidOf(await client.execute('show info').catch(() => `Pid: ${before}`)), {
      timeout: 60_000,
    })
    .not.toBe(before);
  expect(existsSync(socket)).toBe(false);
  expect(client.problem()).toContain('Restart HAProxy');

  await haproxy.stop();
  await expect(client.execute('show info')).rejects.toThrow(`HAProxy socket ${socket}: `);
  expect(client.problem()).toBeNull();
  haproxy = await start();
  expect(pidOf(await client.execute('show info'))).toBeDefined();
  expect(client.problem()).toBeNull();
});
