import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const PATH = `${process.env.PATH}:/usr/sbin`;
const env = { ...process.env, PATH };
// keepalived validates scripts only as root.
const can = process.getuid?.() === 0 && spawnSync('keepalived', ['--version'], { env }).status === 0;

test.skipIf(!can)('keepalived accepts the example and rejects an invalid one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'acgs-keepalived-'));
  // This machine has other interfaces. With scripts of a user other than root, `-t` of keepalived 2.2.7 ends with SIGTERM.
  const example = readFileSync(join(import.meta.dirname, 'keepalived.conf'), 'utf8')
    .replace('interface eth0', 'interface acgs-none')
    .replace('script_user nobody', 'script_user root\n    dynamic_interfaces');
  const validate = (text: string) => {
    const file = join(folder, 'keepalived.conf');
    writeFileSync(file, text);
    const { status, stderr } = spawnSync('keepalived', ['-t', '-l', '-f', file], { env, encoding: 'utf8' });
    return `${status} ${stderr.trim()}`;
  };
  try {
    expect(validate(example)).toBe('0 ');
    expect(validate(example.replace('nopreempt\n', 'nopreemptt\n'))).toContain(
      "Unknown keyword 'nopreemptt'",
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
