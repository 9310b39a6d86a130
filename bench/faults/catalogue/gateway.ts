import { rmSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { requestReload } from '../../../agent/haproxy/socket/master.ts';
import { haproxyCommand } from '../../../dev/servers/haproxy.ts';
import type { Bed } from '../bed.ts';
import { killVictim, type MatrixFault, restartVictim, sinkReported, type Victim } from '../matrix-fault.ts';
import { useUpDescriptors } from '../processes.ts';

const SENT_POST =
  'A POST without an `Idempotency-Key` always goes through a gateway and is never sent twice; without a gateway it fails.';

async function workerPid({ node }: Bed): Promise<number> {
  return Number(/^Pid: (\d+)/m.exec(await haproxyCommand(node.socket, 'show info'))?.[1]);
}

let giveBack = (): void => {};
let muteSocket: Server | null = null;

const SLOW_CLIENTS = 200;
const slowClients: Socket[] = [];

/** Each ends when its server closes it. */
function startSlowClients(origins: readonly string[]): void {
  for (const origin of origins) {
    const { hostname, port } = new URL(origin);
    for (let count = 0; count < SLOW_CLIENTS; count++) {
      const client = connect(Number(port), hostname, () =>
        client.write('GET /red/x HTTP/1.1\r\nHost: x\r\nx: '),
      );
      const timer = setInterval(() => client.write('y'), 1_000);
      client.on('error', () => {});
      client.once('close', () => clearInterval(timer));
      slowClients.push(client);
    }
  }
}

const RESTART_POST = 'A POST that the killed instance, or HAProxy at its restart, had received.';

/** After the reload, the agent's open connection to the admin socket ends. */
async function reloadAndKill(bed: Bed, victim: Victim): Promise<void> {
  await requestReload(bed.node.masterSocket);
  await sleep(1_000);
  await killVictim(bed, victim);
}

/** HAProxy, because a reload passes the listener on and does not create the socket's file again. */
async function restartBoth(bed: Bed, victim: Victim): Promise<void> {
  await restartVictim(bed, victim);
  await bed.node.haproxy.stop();
  await bed.node.haproxy.start();
}

export const GATEWAY_FAULTS: readonly MatrixFault[] = [
  {
    name: 'haproxy-killed',
    area: 'HAProxy',
    title: 'killed, started again after 6 s',
    start: ({ node }) => node.haproxy.kill(),
    stop: async ({ node }) => void (await node.haproxy.start()),
    detected: sinkReported('haproxy'),
    allowed: { other: 20 },
    reason: SENT_POST,
  },
  {
    name: 'haproxy-paused',
    area: 'HAProxy',
    title: 'hung (SIGSTOP)',
    async start(bed) {
      process.kill(await workerPid(bed), 'SIGSTOP');
    },
    stop: ({ node }) => void process.kill(-node.haproxy.pid, 'SIGCONT'),
    detected: sinkReported('haproxy'),
    allowed: { other: 20 },
    reason: SENT_POST,
  },
  {
    name: 'haproxy-reloaded',
    area: 'HAProxy',
    title: 'reloaded five times, once a second',
    forMs: 0,
    async start({ node }) {
      for (let times = 0; times < 5; times++) {
        await requestReload(node.masterSocket);
        await sleep(1_000);
      }
    },
    stop: () => {},
  },
  {
    name: 'haproxy-socket-gone',
    area: 'HAProxy',
    title: 'admin socket removed, HAProxy reloaded, and an instance is killed; HAProxy is restarted',
    strikes: 'victim',
    async start(bed, victim) {
      rmSync(bed.node.socket, { force: true });
      await reloadAndKill(bed, victim);
    },
    stop: restartBoth,
    detected: sinkReported('haproxy'),
    allowed: { other: 20 },
    reason: RESTART_POST,
  },
  {
    name: 'haproxy-socket-mute',
    area: 'HAProxy',
    title: 'admin socket accepts and never answers, and an instance is killed; HAProxy is restarted',
    strikes: 'victim',
    async start(bed, victim) {
      rmSync(bed.node.socket, { force: true });
      muteSocket = createServer(() => {}).listen(bed.node.socket);
      await reloadAndKill(bed, victim);
    },
    async stop(bed, victim) {
      muteSocket?.close();
      await restartBoth(bed, victim);
    },
    detected: sinkReported('haproxy'),
    allowed: { other: 20 },
    reason: RESTART_POST,
  },
  {
    name: 'clients-slow',
    area: 'clients',
    title: '400 clients send their request headers a byte a second, half to the edge, half to HAProxy',
    start: ({ node, edgeUrl }) => startSlowClients([node.gateway, edgeUrl]),
    stop: () => {
      for (const client of slowClients.splice(0)) client.destroy();
    },
  },
  {
    name: 'haproxy-connections-used-up',
    area: 'HAProxy',
    title: 'accepts five connections at most; HAProxy is restarted',
    start: async ({ node }) => void (await haproxyCommand(node.socket, 'set maxconn frontend _gateway 5')),
    // HAProxy 2.6.12 hangs when a full frontend gets a higher limit.
    async stop({ node }) {
      await node.haproxy.kill();
      await node.haproxy.start();
    },
    allowed: { other: 20 },
    reason:
      'The connections wait in the kernel until HAProxy accepts them. A POST that HAProxy had received at its restart fails.',
  },
  {
    name: 'haproxy-descriptors-used-up',
    area: 'HAProxy',
    title: 'no file descriptor left',
    async start(bed) {
      giveBack = useUpDescriptors(await workerPid(bed));
    },
    stop: () => giveBack(),
    detected: sinkReported('haproxy'),
    allowed: { other: 10, pins: 20 },
    reason:
      'HAProxy cannot open a connection to an instance, and says so: the edge sends the requests to the instances itself. HAProxy first tries a server that it is still connected to, so some sessions move.',
  },
  {
    name: 'haproxy-servers-drained-by-hand',
    area: 'HAProxy',
    title: 'a person sets one server to maint on the socket',
    strikes: 'victim',
    start: async ({ node }, { service, id }) =>
      void (await haproxyCommand(node.socket, `set server ${service}/${id} state maint`)),
    stop: async ({ node }, { service, id }) =>
      void (await haproxyCommand(node.socket, `set server ${service}/${id} state ready`)),
  },
];
