import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../../../shared/config/config.ts';
import { formatConfigPath } from '../../../shared/config/problem.ts';
import { snippetLineOf } from '../../../shared/config/snippet-lines.ts';
import { haproxyPaths, type RenderedFile } from './input.ts';

/** HAProxy rejects the rendered configuration. `message` contains HAProxy's output. No file was replaced. */
export class HaproxyConfigError extends Error {
  override name = 'HaproxyConfigError';
}

/** The `haproxy` command is missing, so the configuration cannot be checked. */
export class HaproxyNotInstalled extends HaproxyConfigError {}

/** Runs `haproxy -c` on a copy in a private folder, so a rejected configuration never replaces the current one. */
export async function checkFiles(files: readonly RenderedFile[], config: Config): Promise<void> {
  const copy = await mkdtemp(join(tmpdir(), 'acgs-hc-'));
  try {
    const from = haproxyPaths(config).folder;
    const relocate = (text: string) => text.replaceAll(`${from}/`, `${copy}/acgs-lb/`);
    for (const file of files) {
      const path = file.path.startsWith(`${from}/`) ? relocate(file.path) : join(copy, 'haproxy.cfg');
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, relocate(file.content), { mode: 0o600 });
    }
    await writeFile(join(copy, 'acgs-lb', 'servers.state'), '1\n');
    await checkCopy(join(copy, 'haproxy.cfg'), files, config);
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function checkCopy(copy: string, files: readonly RenderedFile[], config: Config): Promise<void> {
  const together = await filesInOrder(copy, config);
  const output = await runCheck(together);
  if (output === null) return;
  const isOwn = (text: string) => text.includes(copy);
  // The agent's user may be unable to read files that the operator's file names, such as keys. HAProxy's master can.
  const unreadable = /permission denied|unable to (?:load|stat)|cannot open|no such file/i.test(output);
  if (config.haproxy.mode === 'beside' && unreadable && !isOwn(output)) {
    const alone = await runCheck([copy]);
    if (alone === null) return;
    throw rejected(alone, { copy, files, config });
  }
  throw rejected(output, { copy, files, config });
}

/** The files that HAProxy is started with, in its order. It reads a folder in alphabetical order. */
async function filesInOrder(copy: string, { haproxy }: Config): Promise<string[]> {
  const { mode, mainFile, file } = haproxy;
  if (mode === 'whole') return [copy];
  const isFolder = await stat(mainFile).then(
    (stats) => stats.isDirectory(),
    () => null,
  );
  if (isFolder === null) {
    throw new HaproxyConfigError(
      `haproxy.mainFile: ${mainFile} cannot be read; expected your own HAProxy configuration, a file or a folder`,
    );
  }
  if (!isFolder) return [mainFile, copy];
  const found = (await readdir(mainFile)).filter((name) => name.endsWith('.cfg') && !name.startsWith('.'));
  const paths = new Set(found.map((name) => join(mainFile, name)));
  // `mainFile` may be a link to the folder of `file`.
  const own = join(mainFile, file.slice(file.lastIndexOf('/') + 1));
  const inFolder = await sameFolder(mainFile, dirname(file));
  if (inFolder) paths.add(own);
  const ordered = [...paths].sort().map((path) => (inFolder && path === own ? copy : path));
  return inFolder ? ordered : [...ordered, copy];
}

async function sameFolder(a: string, b: string): Promise<boolean> {
  const [first, second] = await Promise.all([a, b].map((path) => stat(path).catch(() => null)));
  return Boolean(first && second && first.ino === second.ino && first.dev === second.dev);
}

/** The output of a failed check; null when HAProxy accepts the files. */
async function runCheck(files: readonly string[]): Promise<string | null> {
  try {
    // As the service starts it: without -W, HAProxy rejects a section `program`.
    await promisify(execFile)('haproxy', ['-W', '-c', ...files.flatMap((file) => ['-f', file])], {
      timeout: 30_000,
      env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` },
    });
    return null;
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new HaproxyNotInstalled('haproxy is not installed (no such command)');
    }
    return cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause);
  }
}

interface CheckedCopy {
  copy: string;
  files: readonly RenderedFile[];
  config: Config;
}

/** The error with HAProxy's output. A line from `haproxy.extra` has its position in the operator's file. */
function rejected(output: string, { copy, files, config }: CheckedCopy): HaproxyConfigError {
  const own = files.find(({ path }) => path === config.haproxy.file);
  const located = withoutSecrets(withoutNotices(output)).replaceAll(
    /\[?(\/[^\s\][:]+):(\d+)\]?/g,
    (place, path, line) => {
      if (path !== copy) return place;
      const extra = own?.extra?.get(Number(line));
      if (!extra) return `[${config.haproxy.file}:${line}]`;
      const position = snippetLineOf(config.haproxy.extra, extra.path, extra.index);
      const key = `${formatConfigPath(extra.path)}, line ${extra.index + 1}`;
      return position === null ? `[${key}]` : `[${position}: ${key}]`;
    },
  );
  // A snippet of a service is in both of its backends.
  const text = [...new Set(located.split('\n'))].join('\n');
  const subject =
    config.haproxy.mode === 'beside' && !output.includes(copy)
      ? 'your own configuration (haproxy.mainFile), or a name that both files use'
      : 'the generated configuration';
  return new HaproxyConfigError(`haproxy rejects ${subject}:\n${text}`);
}

/** Only the lines that name a problem, without HAProxy's prefixes. */
const withoutNotices = (text: string): string =>
  text
    .replaceAll(/^\[NOTICE\].*\n|^.*(?:Error\(s\)|Fatal errors) found in configuration.*(?:\n|$)/gm, '')
    .replaceAll(/^\[(ALERT|WARNING)\]\s*\(\d+\) : (?:config : )?(?:parsing )?/gm, (_, level) =>
      level === 'WARNING' ? 'warning: ' : '',
    )
    .trim() || text;

/** HAProxy's error output quotes the invalid line. */
const withoutSecrets = (text: string): string => text.replace(/(stats auth)\s+\S+/g, '$1 …');
