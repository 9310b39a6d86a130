import { execFileSync, spawnSync } from 'node:child_process';
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { createTrafficWindow } from '../../agent/core/traffic-window.ts';
import { createMetrics } from '../../agent/metrics/metrics.ts';

const here = import.meta.dirname;
const promtool = spawnSync('promtool', ['--version']).status === 0;

interface RuleFile {
  groups: {
    rules: { alert?: string; record?: string; expr: string; annotations?: Record<string, string> }[];
  }[];
}

const rules = globSync('rules/*.yml', { cwd: here }).flatMap((file) =>
  (parse(readFileSync(join(here, file), 'utf8')) as RuleFile).groups.flatMap((group) => group.rules),
);
const cases = globSync('tests/*.yml', { cwd: here }).map((file) => join(here, file));

test.skipIf(!promtool)('promtool accepts the configuration and the rules', () => {
  const out = execFileSync('promtool', ['check', 'config', join(here, 'prometheus.yml')], {
    encoding: 'utf8',
  });
  expect(out).toContain('is valid prometheus config file syntax');
  execFileSync('promtool', ['check', 'rules', '--lint-fatal', ...globSync(join(here, 'rules/*.yml'))]);
});

test.skipIf(!promtool)('alerts fire only when they should', () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['test', 'rules', ...cases], { encoding: 'utf8' });
  expect(status, stdout + stderr).toBe(0);
});

test('every alert links to a section of the runbook', () => {
  const headings = readFileSync(join(here, '../../docs/incident.md'), 'utf8').match(/^## .*$/gm) ?? [];
  const sections = new Set(
    headings.map((heading) =>
      heading
        .slice(3)
        .toLowerCase()
        .replaceAll(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    ),
  );
  const base = '{{ or $externalLabels.runbooks "docs/incident.md" }}#';
  for (const { alert, annotations = {} } of rules) {
    if (!alert) continue;
    const { runbook_url: url = '' } = annotations;
    expect(`${alert} ${url}`).toBe(`${alert} ${base}${url.split('#')[1]}`);
    expect(sections, alert).toContain(url.split('#')[1]);
  }
});

test('availability and error rules count requests, not attempts', () => {
  const wrong = rules.filter(
    ({ record = '', alert = '', expr }) =>
      /error|availability/i.test(`${record}${alert}`) && expr.includes('acgs_load_balancer_'),
  );
  expect(wrong).toEqual([]);
});

test('every alert has a test case', () => {
  const text = cases.map((file) => readFileSync(file, 'utf8')).join('\n');
  // The same rule as a tested alert, on another metric.
  const without = new Set(['HostMemory']);
  const missing = rules.flatMap(({ alert }) =>
    alert && !text.includes(alert) && !without.has(alert) ? [alert] : [],
  );
  expect(missing).toEqual([]);
});

test('rules use only metrics that the agent exports or other rules record', async () => {
  const page = await createMetrics({ version: '0', site: 'main', window: createTrafficWindow() }).render({
    ready: true,
    leader: { role: 'single' },
    snapshot: { epoch: 0, seq: 0, publishedAt: null },
    sinks: {},
  });
  const served = new Set([...String(page).matchAll(/^# TYPE (\S+)/gm)].map((match) => match[1]));
  const recorded = new Set(rules.map(({ record }) => record));
  const unknown = rules
    .flatMap(({ expr }) => [...expr.matchAll(/\b(?:service:)?acgs_[a-z0-9_:]+\b/g)].map(([name]) => name))
    .filter((name) => !recorded.has(name) && !served.has(name.replace(/_bucket$/, '')));
  expect([...new Set(unknown)]).toEqual([]);
});
