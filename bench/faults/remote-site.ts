import { startFleet } from '../compare/fleet.ts';
import { PostCounter } from '../compare/post-counter.ts';
import { instanceStates } from './bed.ts';
import type { RemoteCommand, RemoteReport, RemoteStart } from './second-site.ts';
import { type Site, startSite } from './site.ts';

/** The programs of a second site. Started by second-site.ts inside a network namespace, which stands for its network. */
const SIZE = 2;
const report = (message: RemoteReport): void => void process.send?.(message);
const posts = new PostCounter((id) => report({ kind: 'post', id }));
let stop = async (): Promise<void> => {};

async function start({ address, publishUrl, shared }: RemoteStart): Promise<Site> {
  const names = ['red', 'blue'];
  const fleets = new Map(
    await Promise.all(
      names.map(async (name) => {
        const fleet = await startFleet({ name: `${name}-west`, size: SIZE, host: address, posts });
        return [name, fleet] as const;
      }),
    ),
  );
  const site = await startSite({ id: 'west', host: address, fleets, publishUrl, shared, stores: false });
  stop = async () => {
    await site.stop();
    await Promise.all([...fleets.values()].map((fleet) => fleet.stop()));
  };
  const [node] = site.nodes;
  for (let serving = 0; node && serving < names.length * SIZE; ) {
    const states = await instanceStates(node.api).catch(() => []);
    serving = states.filter(({ state }) => state === 'up' || state === 'probation').length;
  }
  report({ kind: 'ready', gateway: node?.gateway ?? '', publicKeys: site.secrets.SNAPSHOT_PUBLIC_KEYS });
  return site;
}

async function runCommand(site: Site, command: RemoteCommand): Promise<void> {
  const [node] = site.nodes;
  if (command.kind === 'kill') await node?.[command.part].kill();
  if (command.kind === 'start') await node?.[command.part].start();
  report({ kind: 'done' });
}

process.once('message', (first: RemoteStart) => {
  const starting = start(first);
  process.on('message', (command: RemoteCommand) => void starting.then((site) => runCommand(site, command)));
});
process.once('disconnect', () => void stop().finally(() => process.exit(0)));
