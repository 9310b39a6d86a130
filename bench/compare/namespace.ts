import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** A host of its own for one instance: a network namespace behind a veth pair, whose packets can be dropped. */
export interface FaultyHost {
  readonly address: string;
  /** The address of this side. */
  readonly gateway: string;
  /** The command line that runs `command` inside. */
  command(command: readonly string[]): string[];
  /** From now on packets to the host are lost without a word. */
  drop(): void;
  restore(): void;
  remove(): void;
}

/** Addresses of RFC 2544, set aside for benchmarks of network devices: no real host has one. */
const NETWORK = '198.18';

/** Several runs may create hosts at the same time. */
const MAX_HOSTS = 250;

/** Null where namespaces cannot be made: without root or without iproute2. */
export function createFaultyHost(): FaultyHost | null {
  for (let index = 0; index < MAX_HOSTS; index++) {
    if (isDeviceFree(index)) return createHost(index);
  }
  return null;
}

const nameOf = (index: number): { outer: string; inner: string } => ({
  outer: `acgsc${index}o`,
  inner: `acgsc${index}i`,
});

/** A run that was killed leaves its namespace behind. */
function isDeviceFree(index: number): boolean {
  const { outer } = nameOf(index);
  if (!existsSync(`/sys/class/net/${outer}`)) return true;
  const { stdout } = spawnSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  const owner = new RegExp(`^acgs-cmp-(\\d+)-${index}\\b`, 'm').exec(stdout)?.[1];
  if (owner && existsSync(`/proc/${owner}`)) return false;
  ip(['link', 'del', outer]);
  if (owner) ip(['netns', 'del', `acgs-cmp-${owner}-${index}`]);
  return true;
}

function createHost(index: number): FaultyHost | null {
  const name = `acgs-cmp-${process.pid}-${index}`;
  const { outer, inner } = nameOf(index);
  const [gateway, address] = [`${NETWORK}.${index}.1`, `${NETWORK}.${index}.2`];
  const steps = [
    ['netns', 'add', name],
    ['link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', name],
    ['addr', 'add', `${gateway}/30`, 'dev', outer],
    ['link', 'set', outer, 'up'],
    ['-n', name, 'addr', 'add', `${address}/30`, 'dev', inner],
    ['-n', name, 'link', 'set', inner, 'up'],
    ['-n', name, 'link', 'set', 'lo', 'up'],
  ];
  for (const step of steps) {
    if (ip(step)) continue;
    // The outer end of the pair may belong to another run.
    ip(['netns', 'del', name]);
    return null;
  }
  const mac = hardwareAddress(name, inner);
  // A fixed neighbour entry: packets go on being sent when nothing answers, as they do through a router.
  if (mac) ip(['neigh', 'replace', address, 'lladdr', mac, 'dev', outer, 'nud', 'permanent']);
  return {
    address,
    gateway,
    command: (command) => ['ip', 'netns', 'exec', name, ...command],
    drop: () => void ip(['-n', name, 'link', 'set', inner, 'address', '02:00:00:00:00:99']),
    restore: () => void (mac && ip(['-n', name, 'link', 'set', inner, 'address', mac])),
    remove() {
      ip(['link', 'del', outer]);
      ip(['netns', 'del', name]);
    },
  };
}

const ip = (args: readonly string[]): boolean => spawnSync('ip', args, { stdio: 'ignore' }).status === 0;

function hardwareAddress(namespace: string, device: string): string | null {
  const { stdout } = spawnSync('ip', ['-n', namespace, '-j', 'link', 'show', device], { encoding: 'utf8' });
  try {
    return (JSON.parse(stdout) as { address?: string }[])[0]?.address ?? null;
  } catch {
    return null;
  }
}
