import {
  chmodSync,
  cpSync,
  globSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { type PackageContext, runTool } from './context.ts';
import { type ManPage, writeManPage } from './man.ts';
import { copyRuntime } from './runtime.ts';
import { writeSbom } from './sbom.ts';

/** A version as Debian orders it: `1.0.0-rc.1` comes before `1.0.0`. */
export const debianVersion = (version: string): string => version.replace('-', '~');

/** The Debian package with agent, command, edge and units. Returns the files. */
export function buildDeb(context: PackageContext): string[] {
  const file = `acgs-lb_${debianVersion(context.version)}_${context.architecture}.deb`;
  const tree = join(context.work, 'deb');
  rmSync(tree, { recursive: true, force: true });
  stageProgram(context, tree);
  stageUnits(context, tree);
  stageDocs(context, tree);
  stageControl(context, tree);
  // The same modes with every umask.
  runTool(context, 'chmod', ['-R', 'u=rwX,go=rX', tree]);
  const target = join(context.out, file);
  runTool(context, 'dpkg-deb', ['--root-owner-group', '-Zzstd', '-z9', '--build', tree, target]);
  return [target, writeSbom(context, { file, programs: ['node', 'workerd'] })];
}

function stageProgram(context: PackageContext, tree: string): void {
  copyRuntime(context, makeFolder(join(tree, 'usr/lib/acgs-lb')));
  place(join(import.meta.dirname, 'debian/acgs-lb'), join(tree, 'usr/bin/acgs-lb'), 0o755);
  place(join(import.meta.dirname, 'debian/acgs-lb-takeover'), join(tree, 'usr/sbin/acgs-lb-takeover'), 0o755);
  const completion = runTool(context, process.execPath, [
    join(context.root, 'dist/acgs-lb.mjs'),
    'completion',
    'bash',
  ]);
  const target = join(tree, 'usr/share/bash-completion/completions/acgs-lb');
  makeFolder(dirname(target));
  writeFileSync(target, completion);
  stageManPages(context, tree);
}

function stageManPages(context: PackageContext, tree: string): void {
  const { root, version, epoch } = context;
  const help = runTool(context, process.execPath, [join(root, 'dist/acgs-lb.mjs'), '--help']);
  const script = readFileSync(join(import.meta.dirname, 'debian/acgs-lb-takeover'), 'utf8');
  const [, ...lines] = script.split('\n');
  const usage = lines.slice(
    0,
    lines.findIndex((line) => !line.startsWith('# ')),
  );
  const pages: Omit<ManPage, 'version' | 'epoch'>[] = [
    {
      name: 'acgs-lb',
      section: 1,
      summary: 'load balancing and high availability behind HAProxy',
      text: `${help}\nacgs-lb help COMMAND describes a command.`,
    },
    {
      name: 'acgs-lb-takeover',
      section: 8,
      summary: "let acgs-lb write HAProxy's configuration, and back",
      text: usage.map((line) => line.slice(2)).join('\n'),
    },
  ];
  for (const page of pages) {
    const folder = makeFolder(join(tree, `usr/share/man/man${page.section}`));
    writeManPage(join(folder, `${page.name}.${page.section}.gz`), { ...page, version, epoch });
  }
  place(
    join(import.meta.dirname, 'debian/lintian-overrides'),
    join(tree, 'usr/share/lintian/overrides/acgs-lb'),
  );
}

function stageUnits({ root }: PackageContext, tree: string): void {
  const units = join(root, 'deploy/systemd');
  for (const path of globSync('**/*.{service,conf}', { cwd: units })) {
    place(join(units, path), join(tree, 'usr/lib/systemd/system', path));
  }
}

function stageDocs(context: PackageContext, tree: string): void {
  const { root, epoch } = context;
  const docs = makeFolder(join(tree, 'usr/share/doc/acgs-lb'));
  for (const page of globSync('docs/*.md', { cwd: root }))
    place(join(root, page), join(tree, 'usr/share/doc/acgs-lb', page.slice(5)));
  for (const example of ['rsyslog', 'logrotate', 'redis', 'keepalived', 'prometheus', 'grafana']) {
    cpSync(join(root, 'deploy', example), join(docs, 'examples', example), {
      recursive: true,
      filter: (path) => !path.endsWith('.ts') && !path.endsWith('/tests'),
    });
  }
  place(join(import.meta.dirname, 'debian/copyright'), join(docs, 'copyright'));
  const changelog = `acgs-lb (${debianVersion(context.version)}) stable; urgency=medium

  * CHANGELOG.md lists the changes.

 -- ${MAINTAINER}  ${new Date(epoch * 1000).toUTCString().replace('GMT', '+0000')}
`;
  writeFileSync(join(docs, 'changelog.gz'), gzipSync(changelog, { level: 9 }));
  place(join(root, 'CHANGELOG.md'), join(docs, 'CHANGELOG.md'));
}

const MAINTAINER = 'acgs-lb maintainers <maintainers@acgs-lb.invalid>';
const SCRIPTS = ['preinst', 'postinst', 'prerm', 'postrm'];

function stageControl(context: PackageContext, tree: string): void {
  const control = makeFolder(join(tree, 'DEBIAN'));
  for (const name of SCRIPTS) place(join(import.meta.dirname, 'debian', name), join(control, name), 0o755);
  const files = globSync('**', { cwd: tree, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
  const bytes = files.reduce((sum, path) => sum + statSync(path).size, 0);
  const template = readFileSync(join(import.meta.dirname, 'debian/control'), 'utf8');
  writeFileSync(
    join(control, 'control'),
    template
      .replace('@VERSION@', debianVersion(context.version))
      .replace('@ARCHITECTURE@', context.architecture)
      .replace('@MAINTAINER@', MAINTAINER)
      .replace('@INSTALLED_SIZE@', String(Math.ceil(bytes / 1024))),
  );
  const sums = runTool(context, 'sh', [
    '-c',
    `cd "$1" && find . -path ./DEBIAN -prune -o -type f -printf '%P\\0' | sort -z | xargs -0 md5sum`,
    'sh',
    tree,
  ]);
  writeFileSync(join(control, 'md5sums'), sums);
}

function place(from: string, to: string, mode = 0o644): void {
  makeFolder(dirname(to));
  cpSync(from, to);
  chmodSync(to, mode);
}

function makeFolder(path: string): string {
  mkdirSync(path, { recursive: true });
  return path;
}
