import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { StackSecrets } from '../../dev/stack/secrets.ts';
import { createFaultyHost, type FaultyHost } from '../compare/namespace.ts';
import type { PostCounter } from '../compare/post-counter.ts';
import { type Relay, startRelay } from './relay.ts';

export interface RemoteStart {
  address: string;
  publishUrl: string;
  shared: Partial<StackSecrets>;
}

type RemotePart = 'haproxy' | 'agent';
export type RemoteCommand = { kind: 'kill'; part: RemotePart } | { kind: 'start'; part: RemotePart };
export type RemoteReport =
  | { kind: 'ready'; gateway: string; publicKeys: string }
  | { kind: 'done' }
  | { kind: 'post'; id: string };

/** A second site in a network namespace of its own. */
export interface SecondSite {
  readonly host: FaultyHost;
  /** What it publishes passes through here. */
  readonly relay: Relay;
  readonly publicKeys: string;
  send(command: RemoteCommand): Promise<void>;
  stop(): Promise<void>;
}

/** Null without root or iproute2. */
export async function startSecondSite(
  edgeUrl: string,
  shared: Partial<StackSecrets>,
  posts: PostCounter,
): Promise<SecondSite | null> {
  const host = createFaultyHost();
  if (!host) return null;
  const relay = await startRelay(edgeUrl, host.gateway);
  const [command = '', ...args] = host.command([
    process.execPath,
    join(import.meta.dirname, 'remote-site.ts'),
  ]);
  const child = spawn(command, args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  child.on('message', (report: RemoteReport) => {
    if (report.kind === 'post') posts.add(report.id);
  });
  const ended = new AbortController();
  child.once('exit', () => ended.abort(new Error('the second site ended')));
  const next = async <Kind extends RemoteReport['kind']>(kind: Kind) => {
    for (;;) {
      const [report] = (await once(child, 'message', { signal: ended.signal })) as [RemoteReport];
      if (report.kind === kind) return report as Extract<RemoteReport, { kind: Kind }>;
    }
  };
  child.send({ address: host.address, publishUrl: relay.url, shared } satisfies RemoteStart);
  const { publicKeys } = await next('ready');
  return {
    host,
    relay,
    publicKeys,
    async send(remoteCommand) {
      const done = next('done');
      child.send(remoteCommand);
      await done;
    },
    async stop() {
      const exit = once(child, 'exit');
      child.disconnect();
      await exit;
      await relay.stop();
      host.remove();
    },
  };
}
