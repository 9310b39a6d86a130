import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, globSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BareRoot, openBareRoot, runInImage } from './bare-root.ts';

/**
 * `npm run package:test`, as root: builds every package twice and compares the bytes, then installs them in a bare Debian
 * root: the .deb to a steered HAProxy, an upgrade, a takeover of an edited haproxy.cfg and back, purge; the npm package.
 * Needs debootstrap and a Debian mirror; for the image buildah, and --base-image IMAGE where Docker Hub is out of reach.
 */
const ROOT = dirname(dirname(dirname(import.meta.dirname)));
const WORK = join(ROOT, '.build/package-test');
const OLD_VERSION = '0.0.9';
const MAX_SECONDS_TO_STEERED = 180;

function step<T>(name: string, action: () => T): T {
  const start = performance.now();
  const result = action();
  process.stdout.write(`ok ${((performance.now() - start) / 1000).toFixed(1).padStart(6)} s  ${name}\n`);
  return result;
}

function build(out: string, ...args: string[]): void {
  execFileSync(process.execPath, [join(ROOT, 'deploy/packages/main.ts'), ...args, '--out', out], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

const find = (pattern: string): string => {
  const [path] = globSync(join(WORK, pattern));
  assert(path, `${pattern} was not built`);
  return path;
};

function testReproducible(): void {
  build(join(WORK, 'first'), 'deb', 'npm');
  const umask = process.umask(0o077);
  build(join(WORK, 'second'), 'deb', 'npm');
  process.umask(umask);
  const sums = (folder: string) => readFileSync(join(WORK, folder, 'SHA256SUMS'), 'utf8');
  assert.equal(sums('second'), sums('first'), 'the same commit gives other bytes');
  checkSbom('first/*.deb.cdx.json', ['hono', 'node', 'workerd']);
  checkSbom('first/*.tgz.cdx.json', ['@electric-sql/pglite', 'hono', 'itty-router']);
  execFileSync('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: join(WORK, 'first') });
}

function prepare(root: BareRoot): void {
  const folder = join(root.path, 'root/packages');
  mkdirSync(folder);
  copyFileSync(find(`old/acgs-lb_${OLD_VERSION}_*.deb`), join(folder, 'old.deb'));
  copyFileSync(find('first/acgs-lb_*.deb'), join(folder, 'new.deb'));
  copyFileSync(find('first/acgs-lb-*.tgz'), join(folder, 'acgs-lb.tgz'));
  cpSync(import.meta.dirname, join(root.path, 'root/test'), { recursive: true });
}

const scenario = (root: BareRoot, name: string): string =>
  root.runIsolated(`. /root/test/lib.sh; . /root/test/${name}.sh`);

function testInstall(root: BareRoot): void {
  const start = performance.now();
  root.run('apt-get -qq update; apt-get -qq install --no-install-recommends /root/packages/old.deb');
  scenario(root, 'steered');
  const seconds = (performance.now() - start) / 1000;
  assert(seconds < MAX_SECONDS_TO_STEERED, `${seconds.toFixed(0)} s from the .deb to a steered HAProxy`);
}

/** A host as the installation script of earlier versions left it. */
function testFormerInstaller(root: BareRoot): void {
  const files =
    '/etc/systemd/system/acgs-lb-agent.service /etc/systemd/system/haproxy.service.d/acgs-lb.conf /usr/lib/acgs-lb/part.mjs';
  root.run(`mkdir -p /etc/systemd/system/haproxy.service.d /usr/lib/acgs-lb /etc/acgs-lb; touch ${files}
    echo 'ACGS_TOKEN=the-token-of-the-script' >/etc/acgs-lb/agent.env
    apt-get -qq install --no-install-recommends /root/packages/new.deb
    for file in ${files}; do [ ! -e $file ]; done
    grep -qx 'ACGS_TOKEN=the-token-of-the-script' /etc/acgs-lb/agent.env
    systemctl --quiet is-enabled acgs-lb-agent`);
}

/** Every path outside temporary and package folders, and every user. */
const SYSTEM_STATE = `find / -xdev \\( -path /root -o -path /tmp -o -path /var/cache/apt -o -path /var/lib/apt \\
  -o -path /var/log -o -path /run -o -path /var/lib/dpkg \\) -prune -o -printf '%p %U:%G %m\\n' | sort; getent passwd; getent group`;

function testPurge(root: BareRoot, before: string): void {
  root.run('apt-get -qq purge --autoremove acgs-lb');
  // The edits of the scenario.
  root.run('apt-get -qq --reinstall -o Dpkg::Options::=--force-confnew install haproxy');
  const [after, expected] = [root.run(SYSTEM_STATE), before].map((text) => text.split('\n'));
  const left = after?.filter((line) => !expected?.includes(line)) ?? [];
  const missing = expected?.filter((line) => !after?.includes(line)) ?? [];
  assert.deepEqual({ left, missing }, { left: [], missing: [] });
}

function verifyUnits(root: BareRoot): void {
  const output = root.run(
    'systemd-analyze verify acgs-lb-agent.service acgs-lb-edge.service haproxy.service 2>&1 || true',
  );
  assert.doesNotMatch(output, /acgs/);
}

/** npm and Node come from the checkout, because Debian 12 has older ones. */
function testNpm(root: BareRoot): void {
  const command = execFileSync('sh', ['-c', 'readlink -f "$(command -v npm)"'], { encoding: 'utf8' }).trim();
  cpSync(dirname(dirname(command)), join(root.path, 'usr/local/lib/npm'), { recursive: true });
  cpSync(join(ROOT, 'node_modules/node/bin/node'), join(root.path, 'usr/local/bin/node'), {
    dereference: true,
  });
  const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    version: string;
  };
  const npx =
    'npx() { node /usr/local/lib/npm/bin/npx-cli.js --yes --offline -p /root/packages/acgs-lb.tgz "$@"; }; cd /tmp;';
  assert.match(root.runIsolated(`${npx} npx acgs-lb --version`), new RegExp(`acgs-lb ${version}`));
  assert.match(
    root.runIsolated(`${npx} npx acgs-lb render --config /root/test/acgs-lb.yaml`),
    /^backend web$/m,
  );
}

/** Every package is named, and `names` are among them. */
function checkSbom(pattern: string, names: readonly string[]): void {
  const { components } = JSON.parse(readFileSync(find(pattern), 'utf8')) as {
    components: { name: string; version: string }[];
  };
  for (const { name, version } of components)
    assert(name && version, `${pattern}: a package without name or version`);
  const listed = new Set(components.map(({ name }) => name));
  assert.deepEqual(
    names.filter((name) => !listed.has(name)),
    [],
    pattern,
  );
}

/** As in docker-compose.yml: no root, no capability, a read-only root folder. */
function testImage(baseImage: string | undefined): void {
  const base = baseImage === undefined ? [] : ['--base-image', baseImage];
  for (const folder of ['image', 'image-again']) build(join(WORK, folder), 'image', ...base);
  const sums = (folder: string) => readFileSync(join(WORK, folder, 'SHA256SUMS'), 'utf8');
  assert.equal(sums('image-again'), sums('image'), 'the same commit gives another image');
  checkSbom('image/*.cdx.json', ['haproxy', 'hono', 'node', 'workerd']);
  const buildah = (...args: string[]) => execFileSync('buildah', args, { encoding: 'utf8' }).trim();
  const container = buildah('from', `oci-archive:${find('image/acgs-lb-image_*.oci.tar')}`);
  try {
    const volumes = ['etc/acgs-lb', 'etc/haproxy', 'run/haproxy', 'var/lib/acgs-lb'];
    runInImage(buildah('mount', container), volumes, 'image');
  } finally {
    buildah('rm', container);
  }
}

function main(): void {
  const { values } = parseArgs({ options: { 'base-image': { type: 'string' } } });
  step('the same commit gives the same bytes, with any umask', testReproducible);
  step('the package of an older version', () => build(join(WORK, 'old'), 'deb', '--version', OLD_VERSION));
  const root = step('a bare Debian 12', () => openBareRoot(WORK));
  try {
    prepare(root);
    root.run('apt-get -qq update; apt-get -qq install --no-install-recommends haproxy libstdc++6');
    const before = root.run(SYSTEM_STATE);
    root.run('apt-get -qq purge --autoremove haproxy');
    step('from the .deb to a steered HAProxy', () => testInstall(root));
    step('systemd-analyze accepts the units', () => verifyUnits(root));
    step('upgrade', () => scenario(root, 'upgrade'));
    step('takeover of an edited haproxy.cfg, and back', () => scenario(root, 'takeover'));
    step('purge leaves nothing', () => testPurge(root, before));
    step('a host of the former installation script', () => testFormerInstaller(root));
    step('npx acgs-lb', () => testNpm(root));
  } finally {
    root.close();
  }
  if (spawnSync('buildah', ['--version']).status === 0) {
    step('the image: reproducible, without root, read-only', () => testImage(values['base-image']));
  } else process.stdout.write('skipped: the image, because buildah is not installed\n');
}

main();
