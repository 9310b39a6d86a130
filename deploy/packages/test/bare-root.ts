import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const BIND = ['proc', 'dev'];
const ENVIRONMENT = {
  HOME: '/root',
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  DEBIAN_FRONTEND: 'noninteractive',
  LC_ALL: 'C.UTF-8',
};

/** Debian 12 as debootstrap makes it, in a folder. No init system runs in it. Close it to unmount and delete it. */
export interface BareRoot {
  path: string;
  /** Runs a shell script and returns its output; throws with the output when it fails. */
  run: (script: string) => string;
  /** As `run`, in network and process namespaces of its own: only loopback, and no process outlives the script. */
  runIsolated: (script: string) => string;
  close: () => void;
}

/** Needs root, debootstrap and a Debian mirror, that of this machine. `cache` keeps the base for later runs. */
export function openBareRoot(cache: string): BareRoot {
  const base = join(cache, 'bookworm');
  if (!existsSync(join(base, 'etc/acgs-base-complete'))) makeBase(base);
  const path = join(cache, 'root');
  unmount(path);
  rmSync(path, { recursive: true, force: true });
  execFileSync('cp', ['-a', base, path]);
  for (const name of BIND) {
    execFileSync('mount', ['--rbind', `/${name}`, join(path, name)]);
    execFileSync('mount', ['--make-rslave', join(path, name)]);
  }
  const chroot = [path, 'sh', '-euc'];
  return {
    path,
    run: (script) => run('chroot', [...chroot, script]),
    runIsolated: (script) =>
      run('unshare', [
        ...ISOLATED,
        'chroot',
        ...chroot,
        `mount -t proc proc /proc; ${LOOPBACK_UP}; ${script}`,
      ]),
    close: () => {
      unmount(path);
      rmSync(path, { recursive: true, force: true });
    },
  };
}

const ISOLATED = ['--net', '--pid', '--fork', '--kill-child', '--mount'];

/**
 * Runs a shell script in the root folder of an image, read-only but for /tmp and `volumes`, in namespaces of its own.
 * Volumes begin empty, with the owner and mode of their folder.
 */
export function runInImage(root: string, volumes: readonly string[], script: string): string {
  const mounts = volumes.map(
    (path) =>
      `set -- $(stat -c '%u %g %a' ${root}/${path}); mount -t tmpfs -o uid=$1,gid=$2,mode=$3 tmpfs ${root}/${path}`,
  );
  const setUp = [
    ...[`mount --bind ${root} ${root}`, `mount -o remount,bind,ro ${root}`],
    ...[
      `mount -t proc proc ${root}/proc`,
      `mount --rbind /dev ${root}/dev`,
      `mount -t tmpfs tmpfs ${root}/tmp`,
    ],
    ...mounts,
    LOOPBACK_UP,
  ];
  const inside = `${setUp.join('; ')}; exec chroot ${root} sh -euc '. /tmp/test/lib.sh; . /tmp/test/${script}.sh'`;
  const copy = `cp -r ${import.meta.dirname} ${root}/tmp/test`;
  return run('unshare', [...ISOLATED, 'sh', '-euc', inside.replace('; exec', `; ${copy}; exec`)]);
}

// minbase has no `ip`.
const LOOPBACK_UP = `perl -e 'use Socket; socket(S, AF_INET, SOCK_DGRAM, 0); my $up = pack("a16s", "lo", 0x49); ioctl(S, 0x8914, $up) or die "lo: $!"'`;

function makeBase(base: string): void {
  rmSync(base, { recursive: true, force: true });
  mkdirSync(base, { recursive: true });
  const sources = '/etc/apt/sources.list.d/debian.sources';
  const mirror = /^URIs: *(\S+)/m.exec(existsSync(sources) ? readFileSync(sources, 'utf8') : '')?.[1];
  run('debootstrap', [
    ...['--variant=minbase', '--include=ca-certificates,systemd', 'bookworm', base],
    mirror ?? 'http://deb.debian.org/debian',
  ]);
  // How this machine reaches its mirror.
  const isBookworm = /^VERSION_CODENAME=bookworm$/m.test(readFileSync('/etc/os-release', 'utf8'));
  if (isBookworm) rmSync(join(base, 'etc/apt'), { recursive: true });
  for (const path of [
    ...(isBookworm ? ['etc/apt'] : []),
    'usr/share/keyrings',
    'etc/ssl/certs',
    'usr/local/share/ca-certificates',
  ]) {
    if (existsSync(`/${path}`)) cpSync(`/${path}`, join(base, path), { recursive: true, force: true });
  }
  cpSync('/etc/resolv.conf', join(base, 'etc/resolv.conf'), { dereference: true });
  writeFileSync(join(base, 'etc/acgs-base-complete'), '');
}

function unmount(path: string): void {
  for (const name of BIND) {
    if (spawnSync('mountpoint', ['-q', join(path, name)]).status === 0) {
      execFileSync('umount', ['-R', '-l', join(path, name)]);
    }
  }
}

function run(command: string, args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    env: ENVIRONMENT,
    maxBuffer: 64 * 1024 * 1024,
  });
  if (error) throw error;
  if (status !== 0)
    throw new Error(`${args.at(-1)}\nended with ${status}:\n${stdout.slice(-4000)}${stderr.slice(-4000)}`);
  return stdout;
}
