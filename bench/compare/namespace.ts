import { spawnSync } from 'node:child_process';

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

/** Null where namespaces cannot be made: without root or without iproute2. */
export function createFaultyHost(index: number): FaultyHost | null {
  const name = `acgs-cmp-${process.pid}-${index}`;
  const [outer, inner] = [`acgsc${index}o`, `acgsc${index}i`];
  const [gateway, address] = [`${NETWORK}.${index}.1`, `${NETWORK}.${index}.2`];
  const remove = (): void => {
    ip(['link', 'del', outer]);
    ip(['netns', 'del', name]);
  };
  ip(['link', 'del', outer]);
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
    remove();
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
    remove,
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
