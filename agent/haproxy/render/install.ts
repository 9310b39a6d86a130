import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../../../shared/config/config.ts';
import { writeFileAtomic } from '../../lib/atomic-file.ts';
import { checkFiles, HaproxyConfigError } from './check.ts';
import { haproxyPaths, type RenderedFile, type RenderInput } from './input.ts';
import { renderHaproxyConfig } from './render.ts';

export { HaproxyConfigError, HaproxyNotInstalled } from './check.ts';

export interface InstallResult {
  files: RenderedFile[];
  /** False: every file already had this content. */
  changed: boolean;
}

/**
 * Renders the files, validates a copy with HAProxy, then replaces the files that differ, the configuration last. The
 * reconciler (reconciler/step.ts) decides when HAProxy reloads them.
 */
export async function installHaproxyConfig(input: RenderInput, fingerprint?: string): Promise<InstallResult> {
  const files = await allFiles(input, fingerprint);
  const { state, folder } = haproxyPaths(input.config);
  const differing: RenderedFile[] = [];
  for (const file of files) if ((await contentOf(file.path)) !== file.content) differing.push(file);
  if (differing.length > 0) await checkFiles(files, input.config);
  await mkdir(folder, { recursive: true });
  // HAProxy warns about a missing or empty state file; "1" is the version of its format.
  if ((await contentOf(state)) === null) await replaceFile({ path: state, content: '1\n', mode: 0o644 });
  for (const file of differing.reverse()) await replaceFile(file);
  return { files, changed: differing.length > 0 };
}

/** Throws HaproxyConfigError when HAProxy rejects the rendered configuration; writes nothing. */
export const validateHaproxyConfig = async (input: RenderInput): Promise<void> =>
  checkFiles(await allFiles(input), input.config);

const allFiles = async (input: RenderInput, fingerprint?: string): Promise<RenderedFile[]> => [
  ...renderHaproxyConfig(input, fingerprint),
  ...(await clientCertificates(input.config)),
];

/** HAProxy reads a client certificate and its key from one file; the configuration names two. */
async function clientCertificates(config: Config): Promise<RenderedFile[]> {
  const files: RenderedFile[] = [];
  for (const service of Object.values(config.services)) {
    const { cert, key } = service.health.tls ?? {};
    if (!cert || !key) continue;
    const path = `services.${service.id}.health.tls`;
    const content = `${await readPem(`${path}.cert`, cert)}\n${await readPem(`${path}.key`, key)}`;
    files.push({ path: haproxyPaths(config).clientCertificate(service.id), content, mode: 0o600 });
  }
  return files;
}

async function readPem(configPath: string, path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new HaproxyConfigError(`${configPath}: ${path} cannot be read (${cause.code})`, { cause });
  });
}

/** Null: the file does not exist. */
export async function contentOf(path: string): Promise<string | null> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT') return null;
    throw new Error(`${path} cannot be read (${code ?? error})`, { cause: error });
  }
}

/** Replaces a file atomically and creates its folder. */
export async function replaceFile({ path, content, mode }: RenderedFile): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFileAtomic(path, content, mode);
}
