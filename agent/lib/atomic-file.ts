import { readFile, writeFile } from 'node:fs/promises';
import writeAtomic from 'write-file-atomic';

/**
 * Replaces a file durably, or leaves it as it was. By default only its owner can read it. Follows symbolic links. The parts of
 * `text` are read one after another, each after the one before it was written.
 */
export async function writeFileAtomic(
  path: string,
  text: string | Iterable<string>,
  mode = 0o600,
): Promise<void> {
  await writeAtomic(path, '', {
    mode,
    // write-file-atomic ignores a short write, which a full disk causes; Node's own writeFile reports it.
    tmpfileCreated: (temporaryPath) => writeFile(temporaryPath, text),
  });
}

/** The parsed JSON of a file; undefined when there is none. Throws an error that names a damaged file. */
export async function readJsonFile(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path} is damaged: ${String(cause)}`, { cause });
  }
}
