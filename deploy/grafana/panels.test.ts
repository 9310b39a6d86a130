import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { asPromql, asSql } from './panels.ts';

interface DataSource {
  type: string;
  uid: string;
}
interface Panel {
  id: number;
  type: string;
  datasource?: DataSource;
  targets?: { datasource: DataSource }[];
}
interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; type: string; query: unknown; datasource?: DataSource }[] };
}

const provisioned = parse(
  readFileSync(join(import.meta.dirname, 'provisioning/datasources/acgs.yml'), 'utf8'),
) as { datasources: { name: string; type: string }[] };

test.each([
  ['acgs-load-balancing.json', 'ACGS-Prometheus'],
  ['acgs-history.json', 'ACGS-PostgreSQL'],
])('%s can be imported anywhere: its data source is a variable, provisioned as %s', (file, name) => {
  const { panels, templating } = JSON.parse(
    readFileSync(join(import.meta.dirname, 'dashboards', file), 'utf8'),
  ) as Dashboard;
  const type = provisioned.datasources.find((one) => one.name === name)?.type;
  expect(templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource', query: type });
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
  const used = [
    ...panels.filter((panel) => panel.type !== 'row').map(({ datasource }) => datasource),
    ...panels.flatMap(({ targets = [] }) => targets.map(({ datasource }) => datasource)),
    ...templating.list.filter((one) => one.type === 'query').map(({ datasource }) => datasource),
  ];
  expect(used.length).toBeGreaterThan(15);
  for (const each of used) expect(each).toEqual({ type, uid: `$\{datasource}` });
});

test('Grafana variables are replaced as Grafana does', () => {
  expect(asPromql('rate(x{service=~"$service"}[$__rate_interval])', 60)).toBe('rate(x{service=~".*"}[60s])');
  const sql = 'SELECT $__unixEpochGroup(timestamp, $__interval) FROM t WHERE $__unixEpochFilter(timestamp)';
  expect(asSql(sql, 10, 20, 5)).toBe(
    'SELECT floor(timestamp / 5) * 5 FROM t WHERE timestamp >= 10 AND timestamp <= 20',
  );
});
