import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { AGENT_HEAP_OPTIONS, AGENT_MALLOC } from '../../dev/stack/services.ts';

test.each(['bin/acgs-lb.mjs', 'dev/build.ts', 'deploy/packages/debian/acgs-lb', 'deploy/docker/acgs-lb'])(
  '%s starts Node with the memory options of the agent',
  (file) => {
    const text = readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
    expect(text).toContain(`node ${AGENT_HEAP_OPTIONS.join(' ')} `);
    const [[name, value] = []] = Object.entries(AGENT_MALLOC);
    expect(text).toMatch(new RegExp(`(env -S|export) ${name}=${value}\\s`));
  },
);
