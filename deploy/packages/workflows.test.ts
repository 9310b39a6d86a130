import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { debianVersion } from './deb.ts';

const ROOT = join(import.meta.dirname, '../..');
const workflows = globSync('.github/workflows/*.yml', { cwd: ROOT });

interface Workflow {
  permissions: Record<string, string>;
  jobs: Record<string, { steps: { run?: string }[] }>;
}

test('every action is pinned by commit, with its version beside it, and tokens can only read by default', () => {
  expect(workflows.length).toBeGreaterThan(1);
  for (const path of workflows) {
    const text = readFileSync(join(ROOT, path), 'utf8');
    for (const [line] of text.matchAll(/uses:.*/g)) {
      expect(line).toMatch(/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/);
    }
    expect((parse(text) as Workflow).permissions).toEqual({ contents: 'read' });
  }
});

test('the npm scripts that workflows run exist', () => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    scripts: Record<string, string>;
  };
  for (const path of workflows) {
    const { jobs } = parse(readFileSync(join(ROOT, path), 'utf8')) as Workflow;
    const commands = Object.values(jobs).flatMap(({ steps }) => steps.map(({ run }) => run ?? ''));
    for (const [, name = ''] of commands.join('\n').matchAll(/npm run ([\w:]+)/g)) {
      expect(scripts).toHaveProperty([name]);
    }
  }
});

test('Debian orders a pre-release before its release', () => {
  expect(debianVersion('1.2.3-rc.1')).toBe('1.2.3~rc.1');
});
