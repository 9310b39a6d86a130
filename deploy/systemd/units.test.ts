import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'acgs-units-'));
});

afterAll(async () => {
  await rm(dir, { recursive: true, force: true });
});

test('the public edge runs as its own user, without access to the folders of the agent and of HAProxy', async () => {
  const unit = async (name: string) => {
    const text = await readFile(join(import.meta.dirname, `acgs-lb-${name}.service`), 'utf8');
    return (key: string) => new RegExp(`^${key}=(.*)$`, 'm').exec(text)?.[1] ?? '';
  };
  const [agent, edge] = [await unit('agent'), await unit('edge')];
  for (const key of ['User', 'Group', 'StateDirectory']) {
    expect(edge(key), key).toBe('acgs-lb-edge');
    expect(agent(key), key).toBe('acgs-lb');
  }
  expect(edge('SupplementaryGroups')).toBe('');
  expect(edge('InaccessiblePaths').split(' ')).toEqual(
    expect.arrayContaining(['-/etc/acgs-lb', '-/var/lib/acgs-lb', '-/run/haproxy']),
  );
});

test.skipIf(spawnSync('systemd-analyze', ['--version']).status !== 0)(
  'systemd-analyze accepts the units',
  async () => {
    const units = join(dir, 'units');
    await mkdir(units);
    for (const name of ['acgs-lb-agent.service', 'acgs-lb-edge.service']) {
      const text = await readFile(join(import.meta.dirname, name), 'utf8');
      // `verify` requires an installed program.
      await writeFile(join(units, name), text.replaceAll('/usr/bin/acgs-lb', '/bin/true'));
      const { status, stdout, stderr } = spawnSync('systemd-analyze', ['verify', join(units, name)], {
        encoding: 'utf8',
      });
      expect(`${status} ${stdout}${stderr}`.trim()).toBe('0');
    }
  },
);
