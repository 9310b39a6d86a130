import assert from 'node:assert/strict';
import { parseSections } from '../../../agent/haproxy/import/file/sections.ts';
import { proposeConfig } from '../../../agent/haproxy/import/proposal.ts';
import { ConfigError, parseConfig } from '../../../shared/config/load.ts';
import { type FuzzTarget, utf8 } from '../target.ts';

/** For 20 KB, on a busy machine. */
const MAX_CPU_MICROSECONDS = 5_000_000;

const config: FuzzTarget = {
  name: 'config',
  holds: 'configuration: a located error, or a configuration that a second reading confirms',
  start: () => (input) => {
    const text = utf8(input);
    const started = process.cpuUsage();
    try {
      const parsed = parseConfig(text, 'f.yaml');
      assert(Object.isFrozen(parsed));
      assert.deepEqual(parseConfig(text, 'f.yaml'), parsed);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      const { problems } = error;
      const counted = /^and [1-9]\d* more errors$/.test(problems.at(-1) ?? '')
        ? problems.slice(0, -1)
        : problems;
      assert(counted.length > 0);
      for (const problem of counted) assert.match(problem, /^f\.yaml:[1-9]\d*:[1-9]\d*: /);
    }
    assert(process.cpuUsage(started).user < MAX_CPU_MICROSECONDS, 'too slow');
  },
};

const haproxyCfg: FuzzTarget = {
  name: 'haproxy-cfg',
  holds: 'haproxy.cfg: a valid configuration or none, and one fate for every statement',
  start: () => (input) => {
    const text = utf8(input);
    const { sections, stray } = parseSections(text);
    const statements = [...stray, ...sections.flatMap(({ head, body }) => [head, ...body])];
    for (const mode of ['whole', 'beside'] as const) {
      const proposal = proposeConfig(text, { mode, fileName: 'f.cfg', rejected: new Map() });
      assert.equal(proposal.yaml === null, proposal.config === null);
      const lines = new Set(proposal.lines.map(({ line }) => line));
      for (const { line } of statements) assert(lines.has(line), `line ${line} has no fate`);
      // The second reading finds no server of a service in the operator's own file.
      const own =
        proposal.ownFile === null
          ? null
          : proposeConfig(proposal.ownFile, { mode, fileName: 'f.cfg', rejected: new Map() });
      for (const service of Object.keys(proposal.config?.services ?? {}))
        assert.equal(own?.config?.services[service], undefined);
    }
  },
};

export const CONFIGURATION_TARGETS: readonly FuzzTarget[] = [config, haproxyCfg];
