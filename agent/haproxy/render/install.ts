import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Config } from '../../../shared/config/config.ts';
import { haproxyPaths, type RenderedFile, type RenderInput } from './input.ts';
import { renderHaproxyConfig } from './render.ts';

/** HAProxy would not start with what was rendered. `message` holds its own words; nothing was replaced. */
export class HaproxyConfigError extends Error {
  override name = 'HaproxyConfigError';
}

export interface InstallResult {
  files: RenderedFile[];
  /** False: every file already stood there, byte for byte. */
  changed: boolean;
}

/** There is no HAProxy on this machine to judge anything. */
export class HaproxyNotInstalled extends HaproxyConfigError {}

/** Renders, has HAProxy judge a copy, then replaces what differs: each file whole, the configuration last. */
export async function installHaproxyConfig(input: RenderInput, fingerprint?: string): Promise<InstallResult> {
  const files = await allFiles(input, fingerprint);
  const { state, folder } = haproxyPaths(input.config);
  const differing: RenderedFile[] = [];
  for (const file of files) if ((await contentOf(file.path)) !== file.content) differing.push(file);
  if (differing.length > 0) await checkFiles(files, input.config);
  await mkdir(folder, { recursive: true });
  // HAProxy warns about a state file that is missing or empty; "1" is the format's version.
  if ((await contentOf(state)) === null) await replaceFile({ path: state, content: '1\n', mode: 0o644 });
  for (const file of differing.reverse()) await replaceFile(file);
  return { files, changed: differing.length > 0 };
}

/** Throws HaproxyConfigError when HAProxy would refuse what comes of the input; writes nothing. */
export const validateHaproxyConfig = async (input: RenderInput): Promise<void> =>
  checkFiles(await allFiles(input), input.config);

const allFiles = async (input: RenderInput, fingerprint?: string): Promise<RenderedFile[]> => [
  ...renderHaproxyConfig(input, fingerprint),
  ...(await clientCertificates(input.config)),
];

/** `haproxy -c` on a copy in a private folder, so that a refused configuration never stands where it would be used. */
async function checkFiles(files: readonly RenderedFile[], config: Config): Promise<void> {
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
    await checkHaproxy(join(copy, 'haproxy.cfg'));
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

async function checkHaproxy(file: string): Promise<void> {
  try {
    await promisify(execFile)('haproxy', ['-c', '-f', file], {
      timeout: 30_000,
      env: { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/sbin:/usr/local/sbin` },
    });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') {
      throw new HaproxyNotInstalled('haproxy is not installed (no such command)');
    }
    const said = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause);
    throw new HaproxyConfigError(`haproxy refuses the generated configuration:\n${withoutSecrets(said)}`, {
      cause,
    });
  }
}

/** HAProxy quotes the words it does not like. */
const withoutSecrets = (text: string): string => text.replace(/(stats auth)\s+\S+/g, '$1 …');

/** HAProxy wants a client's certificate and key in one file; ours are two. */
async function clientCertificates(config: Config): Promise<RenderedFile[]> {
  const files: RenderedFile[] = [];
  for (const service of Object.values(config.services)) {
    const { cert, key } = service.health.tls ?? {};
    if (!cert || !key) continue;
    const place = `services.${service.id}.health.tls`;
    const content = `${await pemOf(`${place}.cert`, cert)}\n${await pemOf(`${place}.key`, key)}`;
    files.push({ path: haproxyPaths(config).clientCertificate(service.id), content, mode: 0o600 });
  }
  return files;
}

async function pemOf(place: string, path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new HaproxyConfigError(`${place}: ${path} cannot be read (${cause.code})`, { cause });
  });
}

async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

/** A reader sees the old file or the new one, never half of either. */
export async function replaceFile({ path, content, mode }: RenderedFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const beside = `${path}.${process.pid}.new`;
  await writeFile(beside, content, { mode });
  await rename(beside, path);
}
