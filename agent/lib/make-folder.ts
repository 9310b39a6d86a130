import { mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/** With its parents. Node's own way to do so never ends below a folder that takes none, such as /proc. */
export function makeFolder(path: string, mode?: number): void {
  try {
    mkdirSync(path, mode);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    if (code !== 'ENOENT' || dirname(path) === path) throw error;
    makeFolder(dirname(path), mode);
    mkdirSync(path, mode);
  }
}
