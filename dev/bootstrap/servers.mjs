import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { findProgram, runQuietly } from './run.mjs';

/** Servers from the system's package manager: how to find each, and its packages. */
const SERVERS = {
  haproxy: { find: () => findProgram('haproxy'), apt: 'haproxy', dnf: 'haproxy' },
  redis: { find: () => findProgram('redis-server'), apt: 'redis-server', dnf: 'redis' },
  postgres: { find: findPostgres, apt: 'postgresql', dnf: 'postgresql-server' },
};

/** Optional tools: tests that need one are skipped without it. Commands in docs/ use socat and jq. */
const TEST_TOOLS = {
  chromium: {
    find: () => findProgram('chromium') ?? findProgram('google-chrome'),
    apt: 'chromium',
    dnf: 'chromium',
  },
  prometheus: { find: () => findProgram('promtool'), apt: 'prometheus', dnf: 'golang-github-prometheus' },
  keepalived: { find: () => findProgram('keepalived'), apt: 'keepalived', dnf: 'keepalived' },
  socat: { find: () => findProgram('socat'), apt: 'socat', dnf: 'socat' },
  jq: { find: () => findProgram('jq'), apt: 'jq', dnf: 'jq' },
  nginx: { find: () => findProgram('nginx'), apt: 'nginx-light', dnf: 'nginx' },
  dnsmasq: { find: () => findProgram('dnsmasq'), apt: 'dnsmasq-base', dnf: 'dnsmasq' },
  apache: {
    find: () => findProgram('apache2') ?? findProgram('httpd'),
    apt: 'apache2-bin',
    dnf: 'httpd',
  },
  php: { find: () => findProgram('php'), apt: 'php-cli', dnf: 'php-cli' },
  python3: { find: () => findProgram('python3'), apt: 'python3', dnf: 'python3' },
};
/** The load balancers that `npm run compare` and `npm run bench` run beside acgs-lb, and their tools. */
const PEERS = {
  nginx: TEST_TOOLS.nginx,
  caddy: { find: () => findProgram('caddy'), apt: 'caddy', dnf: 'caddy' },
  iproute2: { find: () => findProgram('ip'), apt: 'iproute2', dnf: 'iproute' },
  wrk: { find: () => findProgram('wrk'), apt: 'wrk', dnf: 'wrk' },
  valgrind: { find: () => findProgram('valgrind'), apt: 'valgrind', dnf: 'valgrind' },
};
/** What `npm run apps` runs behind the edge and HAProxy. */
const APPLICATIONS = {
  nginx: TEST_TOOLS.nginx,
  apache: TEST_TOOLS.apache,
  php: TEST_TOOLS.php,
  flask: { find: findFlaskPython, apt: 'python3-flask', dnf: 'python3-flask' },
  git: { find: () => findProgram('git'), apt: 'git', dnf: 'git' },
};
const PACKAGES = { ...SERVERS, ...TEST_TOOLS, ...PEERS, ...APPLICATIONS };

/** A Python that has Flask. The one of a version manager often comes first on the PATH. */
export function findFlaskPython() {
  const pythons = [findProgram('python3'), findProgram('python3', ['/usr/bin'])].filter(Boolean);
  const hasFlask = (python) => spawnSync(python, ['-c', 'import flask'], { stdio: 'ignore' }).status === 0;
  return pythons.find(hasFlask) ?? null;
}

export const missingApplications = () => missingTestTools(APPLICATIONS);

export const missingPeers = () => Object.keys(PEERS).filter((name) => !PEERS[name].find());

export const missingTestTools = (tools = TEST_TOOLS) =>
  Object.keys(tools).filter((name) => !tools[name].find());

export function missingServers({ embedded = false } = {}) {
  const wanted = embedded ? ['haproxy'] : Object.keys(SERVERS);
  return wanted.filter((name) => !SERVERS[name].find());
}

/** The folder of initdb and postgres, newest version first. On Debian and Red Hat they are not on the PATH. */
export function findPostgres() {
  const home = '/usr/lib/postgresql';
  const versions = existsSync(home) ? readdirSync(home).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = versions.map((version) => `${home}/${version}/bin`);
  const initdb =
    findProgram('initdb', folders) ??
    findProgram('initdb') ??
    findProgram('initdb', ['/usr/local/pgsql/bin']);
  return initdb ? initdb.replace(/\/initdb$/, '') : null;
}

/** The install command for a user, with sudo unless root. Null when the package manager is unknown. */
export function installCommand(servers) {
  const manager = packageManager();
  if (!manager) return null;
  const sudo = isRoot() ? '' : 'sudo ';
  const names = servers.map((name) => PACKAGES[name][manager.kind]).join(' ');
  return manager.kind === 'apt'
    ? `${sudo}apt-get update && ${sudo}apt-get install -y --no-install-recommends ${names}`
    : `${sudo}${manager.program} install -y ${names}`;
}

/** True when an installation needs no password. */
export function mayInstall() {
  if (!packageManager()) return false;
  if (isRoot()) return true;
  const sudo = findProgram('sudo');
  return sudo !== null && spawnSync(sudo, ['-n', 'true'], { stdio: 'ignore' }).status === 0;
}

/** Returns null on success, else the end of the package manager's output. */
export async function installServers(servers) {
  const manager = packageManager();
  const names = servers.map((name) => PACKAGES[name][manager.kind]);
  const script = manager.kind === 'apt' ? aptScript() : `exec ${manager.program} install -y -q "$@"`;
  const shell = ['sh', '-c', script, 'sh', ...names];
  const [command, ...args] = isRoot() ? shell : [findProgram('sudo'), '-n', ...shell];
  const { code, output } = await runQuietly(command, args, { what: names.join(', ') });
  return code === 0 ? null : output.trim().split('\n').slice(-12).join('\n');
}

const POLICY = '/usr/sbin/policy-rc.d';
const POLICY_MARK = 'acgs-lb bootstrap';

/**
 * Debian starts servers when it installs them, and enables them at boot, but only the programs are needed. A temporary
 * policy-rc.d prevents the start, and also restarts of running servers. What was not enabled before is disabled again,
 * also when the installation fails. Package lists are updated only when the first attempt fails.
 */
export const aptScript = ({ policy = POLICY, units = '/etc/systemd/system' } = {}) => `
set -e
export DEBIAN_FRONTEND=noninteractive PATH="$PATH:/usr/sbin:/sbin"
enabled() { ls -d ${units}/*.wants/* 2>/dev/null || true; }
before=$(enabled)
own_policy=no
finish() {
  [ "$own_policy" = no ] || rm -f ${policy}
  enabled | while read -r link; do
    if printf '%s\\n' "$before" | grep -qxF "$link"; then continue; fi
    unit=$(basename "$link")
    systemctl --quiet disable "$unit" >/dev/null 2>&1 || deb-systemd-helper disable "$unit" >/dev/null 2>&1 || true
    [ ! -e "/etc/init.d/\${unit%.service}" ] || update-rc.d "\${unit%.service}" disable >/dev/null 2>&1 || true
    rm -f "$link"
  done
}
trap finish EXIT
trap 'exit 130' INT TERM HUP
if [ ! -e ${policy} ]; then
  own_policy=yes
  printf '#!/bin/sh\\n# ${POLICY_MARK}\\nexit 101\\n' > ${policy}
  chmod 755 ${policy}
fi
install() { apt-get -o DPkg::Lock::Timeout=120 install -y -q --no-install-recommends "$@" </dev/null; }
if ! install "$@"; then
  apt-get -o DPkg::Lock::Timeout=120 update -q
  install "$@"
fi
`;

/** Removes our policy-rc.d after a killed installation. */
export function removeStalePolicy() {
  try {
    if (existsSync(POLICY) && readFileSync(POLICY, 'utf8').includes(POLICY_MARK)) rmSync(POLICY);
  } catch {
    // Needs root; the next privileged run removes it.
  }
}

function packageManager() {
  if (findProgram('apt-get')) return { kind: 'apt', program: 'apt-get' };
  for (const program of ['dnf', 'yum']) if (findProgram(program)) return { kind: 'dnf', program };
  return null;
}

const isRoot = () => process.getuid?.() === 0;
