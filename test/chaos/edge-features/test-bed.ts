import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../../dev/ports.ts';
import { createPrivateFolder, removeFolder } from '../../../dev/servers/folder.ts';
import { ROOT, startStack, type TestStack } from '../../harness/stack.ts';
import { edgeStatus } from '../../harness/status.ts';
import { until } from '../../harness/until.ts';
import { type RawRequest, type RawResponse, sendRequest } from '../http-request.ts';
import { restartNginx, startLighttpd, startNginx, type WebServer, writeSite } from '../web-servers.ts';

export type ServerKind = 'nginx' | 'lighttpd' | 'demo';
const KINDS: readonly ServerKind[] = ['nginx', 'lighttpd', 'demo'];

/** The running stack. Every service has three instances: nginx, lighttpd and a demo instance. */
export interface TestBed extends TestStack {
  request(path: string, how?: RawRequest): Promise<RawResponse>;
  /** Resolves when agent and edge report it for every service. */
  kill(kind: 'nginx'): Promise<void>;
  restart(kind: 'nginx'): Promise<void>;
}

/** Which of the three servers answered, from x-acgs-instance. */
export const answeringServer = ({ headers }: RawResponse): string =>
  String(headers['x-acgs-instance']).split('-').at(-1) ?? '';

/** Starts the stack. `services` maps a service to its own settings, as YAML on one line. */
export async function startTestBed(services: Record<string, string>): Promise<TestBed> {
  const folder = createPrivateFolder('acgs-parts');
  const { root } = writeSite(folder, 1);
  for (const name of Object.keys(services)) cpSync(join(root, 'index.html'), join(root, name, 'index.html'));
  const demoPort = await freePort();
  let nginx = await startNginx(folder, root, 'nginx');
  const lighttpd = await startLighttpd(folder, root, 'lighttpd');
  const demo = startDemo(demoPort);
  const ports = { nginx: nginx.port, lighttpd: lighttpd.port, demo: demoPort };
  const stopServers = async (): Promise<void> => {
    demo.kill('SIGTERM');
    await Promise.all([nginx, lighttpd].map((server: WebServer) => server.child.stop()));
    removeFolder(folder);
  };
  const test = await startStack({
    configText: config(services, ports),
    args: ['--no-demo', '--simulate-clients'],
    readyWithinMs: 180_000,
  }).catch(async (error: unknown) => {
    await stopServers();
    throw error;
  });
  const { stack } = test;
  const waitForState = (kind: ServerKind, matches: (state: string) => boolean) =>
    until(async () => {
      const [agent, edge] = await Promise.all([
        fetch(`${stack.agent}/v1/services`).then((answer) => answer.text()),
        edgeStatus(stack),
      ]);
      return [agent, edge].every((text) => {
        const own = statesOf(text).filter(({ id }) => id.endsWith(`-${kind}`));
        return own.length > 0 && own.every(({ state }) => matches(state));
      });
    });
  await Promise.all(KINDS.map((kind) => waitForState(kind, (state) => state !== 'down')));
  return {
    ...test,
    request: (path, how) => sendRequest(stack.edge + path, how),
    async kill(kind) {
      nginx.child.signal('SIGKILL');
      await waitForState(kind, (state) => state === 'down');
    },
    async restart(kind) {
      nginx = await restartNginx(folder, nginx);
      await waitForState(kind, (state) => state !== 'down');
    },
    async stop() {
      await test.stop();
      await stopServers();
    },
  };
}

/** The instances in the agent's service list or the edge's status. */
function statesOf(text: string): { id: string; state: string }[] {
  const { services } = JSON.parse(text) as { services: { instances: { id: string; state: string }[] }[] };
  return services.flatMap(({ instances }) => instances);
}

function startDemo(port: number): ChildProcess {
  return spawn(process.execPath, ['dev/instance.ts', 'parts', 'demo', String(port)], {
    cwd: ROOT,
    stdio: 'ignore',
  });
}

function config(services: Record<string, string>, ports: Record<ServerKind, number>): string {
  const lines = Object.entries(services).map(([name, own]) => {
    const instances = KINDS.map(
      (kind) =>
        `{ id: ${name}-${kind}, url: "http://127.0.0.1:${ports[kind]}"${name === 'weighted' && kind === 'nginx' ? ', weight: 200' : ''} }`,
    );
    return `  ${name}: { routes: [/${name}], instances: [ ${instances.join(', ')} ], ${own} }`;
  });
  return `version: 1
site: { id: main }
defaults: { rateLimits: [], slowStart: 1s, affinity: { by: none }, health: { path: /, interval: 1s, fastInterval: 250ms } }
services:
${lines.join('\n')}
haproxy: { rateLimit: off, requireEdge: true }
`;
}
