import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import { eventually } from '../../../test/harness/eventually.ts';
import type { AdminState, Change } from '../../core/state.ts';
import { createAdminCommandLog } from './admin-commands.ts';
import type { DesiredServer } from './desired.ts';
import { createReconciler } from './reconciler.ts';

const releases: (() => void)[] = [];
afterEach(() => {
  for (const release of releases.splice(0).reverse()) release();
});

const FLAGS = { ready: 0, drain: 8, maint: 1 };

/** A HAProxy with one server that obeys, and once may break off instead of saying so. */
async function haproxy() {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-st-'));
  const path = join(folder, 's');
  const sockets = new Set<Socket>();
  const state = { admin: 'ready' as AdminState, breaksOff: false };
  const answer = (command: string, socket: Socket): string | null => {
    const [, order] = /^set server s\/a state (\w+)$/.exec(command) ?? [];
    if (order) {
      state.admin = order as AdminState;
      if (!state.breaksOff) return '';
      state.breaksOff = false;
      socket.destroy();
      return null;
    }
    if (command === 'show info') return 'Name: HAProxy\nPid: 1\n';
    if (command.startsWith('show stat')) return '# pxname,svname,type,uweight,addr\ns,a,2,100,127.0.0.1:1\n';
    if (command !== 'show servers state') return '';
    const head = '1\n# be_name srv_name srv_admin_state srv_addr srv_port\n';
    return `${head}s a ${FLAGS[state.admin]} 127.0.0.1 1\n`;
  };
  const server = createServer((socket) => {
    sockets.add(socket);
    let text = '';
    socket
      .on('error', () => undefined)
      .on('data', (chunk) => {
        text += String(chunk);
        for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
          const said = answer(text.slice(0, end), socket);
          text = text.slice(end + 1);
          if (said !== null) socket.write(`${said}\n> `);
        }
      });
  }).listen(path);
  await once(server, 'listening');
  releases.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
    rmSync(folder, { recursive: true });
  });
  return { path, state };
}

function steer(socket: string) {
  const config = parseConfig('{ version: 1, site: { id: main }, services: { s: { routes: [/] } } }');
  const orders = createAdminCommandLog();
  let desired = new Map<string, DesiredServer>();
  const steering = createReconciler({
    ...{ name: 'test', socket, shared: false, config: () => config, desired: () => desired, orders },
    ...{ onTraffic() {}, onRefused() {}, now: Date.now },
  });
  releases.push(() => steering.close());
  return {
    look: () => eventually(() => steering.poll()),
    steering,
    want(admin: AdminState, changes: readonly Change[] = []) {
      const a = { service: 's', instance: 'a', url: 'http://127.0.0.1:1', verdict: null, reason: '' };
      desired = new Map([['s/a', { ...a, admin, weight: 100, priority: 1 }]]);
      orders.record(desired, changes);
    },
  };
}

test('an order that HAProxy took without saying so is ours all the same', async () => {
  const { path, state } = await haproxy();
  const { look, steering, want } = steer(path);
  want('ready');
  await look();
  want('drain');
  state.breaksOff = true;
  await expect(steering.poll()).rejects.toThrow('closed by HAProxy');
  expect(state.admin).toBe('drain');
  want('ready');
  await look();
  expect(state.admin).toBe('ready');
});

test("a person's order stays, also where one of ours never got to HAProxy, or was undone without a word", async () => {
  const { path, state } = await haproxy();
  const { look, steering, want } = steer(path);
  want('ready');
  await look();
  want('drain');
  want('ready');
  await look();
  state.admin = 'drain';
  await look();
  expect(state.admin).toBe('drain');
  state.admin = 'ready';
  want('drain');
  await look();
  want('ready');
  state.breaksOff = true;
  await expect(steering.poll()).rejects.toThrow('closed by HAProxy');
  await look();
  state.admin = 'drain';
  await look();
  expect(state.admin).toBe('drain');
});

test('an order that came and went in one piece of news, and that the other agent gave, is ours too', async () => {
  const { path, state } = await haproxy();
  const { look, want } = steer(path);
  want('ready');
  await look();
  const news = { kind: 'admin', service: 's', instance: 'a', at: 0, reason: 'test' } as const;
  want('ready', [
    { ...news, from: 'ready', to: 'drain' },
    { ...news, from: 'drain', to: 'ready' },
  ]);
  state.admin = 'drain';
  await look();
  expect(state.admin).toBe('ready');
});
