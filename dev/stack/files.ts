import { renameSync, rmSync, writeFileSync } from 'node:fs';

/** Written whole or not at all, readable by its owner alone. */
export function writeWhole(file: string, text: string): void {
  const draft = `${file}.${process.pid}.tmp`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}

export function removeFile(file: string): void {
  rmSync(file, { force: true });
}
