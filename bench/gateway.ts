import { spawn } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { configInstances } from '../agent/haproxy/render/input.ts';
import { installHaproxyConfig } from '../agent/haproxy/render/install.ts';
import { freePorts } from '../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../dev/servers/folder.ts';
import { startHaproxy } from '../dev/servers/haproxy.ts';
import { parseConfig } from '../shared/config/load.ts';
import type { SnapshotHeaders } from '../shared/snapshot/snapshot.ts';
import { cpuMicros, parentOf } from './process-stats.ts';

export interface MeteredHaproxy {
  url: string;
  /** CPU time of HAProxy, microseconds. */
  cpuMicros(): number;
  stop(): Promise<void>;
}

/** A gateway as deployed: the shipped template, verified edge tokens, one thread. */
export interface Gateway extends MeteredHaproxy {
  /** The edge's GATEWAY_JWT_KEY. */
  jwtKey: string;
}

export interface GatewayOptions {
  requireEdge?: boolean;
  /** Default: the shipped template. */
  template?: string;
  /** As `haproxy.rateLimit` in acgs-lb.yaml. Default: off. */
  rateLimit?: string;
  /** As `headers` in acgs-lb.yaml. */
  headers?: Partial<SnapshotHeaders>;
}

export async function startGateway(
  backendUrl: string,
  { requireEdge = true, template, rateLimit, headers = {} }: GatewayOptions = {},
): Promise<Gateway> {
  const folder = createPrivateFolder('acgs-b');
  const [port = 0, stats = 0, check = 0, agent = 0] = await freePorts(4);
  // Instances of a service must have different URLs.
  const secondUrl = backendUrl.replace('127.0.0.1', 'localhost');
  const config = parseConfig(`
version: 1
site: { id: main }
agent: { bind: "127.0.0.1:${agent}" }
headers: ${JSON.stringify(headers)}
services:
  gateway:
    routes: [/gateway]
    maxconn: 2000
    instances: [{ id: bench-1, url: "${backendUrl}" }, { id: bench-2, url: "${secondUrl}" }]
haproxy: { bind: ["127.0.0.1:${port}"], stats: "127.0.0.1:${stats}", agentCheck: "127.0.0.1:${check}",
  threads: 1, maxconn: 8192, rateLimit: ${rateLimit ?? 'off'}, requireEdge: ${requireEdge}, log: "127.0.0.1:${check}", socket: ${join(folder, 'admin.sock')},
  masterSocket: ${join(folder, 'master.sock')}, file: ${join(folder, 'haproxy.cfg')} }
`);
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const encode = (der: Buffer): string => `k1:${der.toString('base64url')}`;
  const secrets = {
    statsUser: 'admin',
    statsPassword: 'bench',
    edgePublicKeys: encode(publicKey.export({ type: 'spki', format: 'der' })),
  };
  await installHaproxyConfig({
    config,
    instances: configInstances(config),
    secrets,
    ...(template === undefined ? {} : { template }),
  });
  const { file: configFile, masterSocket } = config.haproxy;
  const sink = await startLogSink(check);
  const haproxy = await startHaproxy({ configFile, masterSocket });
  return {
    url: `http://127.0.0.1:${port}`,
    jwtKey: encode(privateKey.export({ type: 'pkcs8', format: 'der' })),
    cpuMicros: cpuMeterOf(haproxy.child.pid),
    async stop() {
      await haproxy.stop();
      sink.stop();
      removeFolder(folder);
    },
  };
}

/** Reads the CPU time of a process and its present children, microseconds. */
export function cpuMeterOf(pid: number): () => number {
  const children = readdirSync('/proc')
    .map(Number)
    .filter((one) => one > 0 && parentOf(one) === pid);
  return () => [pid, ...children].reduce((sum, one) => sum + cpuMicros(one), 0);
}

/** Binds a UDP port without reading it: on a closed port, every log line would also cost an ICMP error. */
export async function startLogSink(port: number): Promise<{ stop(): void }> {
  const program = `
    const socket = require('node:dgram').createSocket('udp4');
    socket.bind(${port}, '127.0.0.1', () => process.send('bound'));
    process.on('disconnect', () => process.exit(0));`;
  const child = spawn(process.execPath, ['--eval', program], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  await once(child, 'message');
  child.kill('SIGSTOP');
  return { stop: () => void child.kill('SIGKILL') };
}
