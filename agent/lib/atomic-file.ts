import { randomBytes } from 'node:crypto';
import { open, readFile, rename, rm } from 'node:fs/promises';

/** Writes a file whole or not at all, durable; by default readable by its owner only. */
export async function writeFileAtomic(path: string, text: string, mode = 0o600): Promise<void> {
  const part = `${path}.${randomBytes(4).toString('hex')}.part`;
  const file = await open(part, 'w', mode);
  try {
    await file.writeFile(text);
    await file.sync();
    await file.close();
    await rename(part, path);
  } catch (error) {
    await file.close().catch(() => {});
    await rm(part, { force: true });
    throw error;
  }
}

/** The parsed JSON of a file; undefined when there is none. Throws with the path when it is damaged. */
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
