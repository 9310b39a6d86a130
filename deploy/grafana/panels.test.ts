import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { asPromql, asSql, panelQueries } from './panels.ts';

test('every panel uses a provisioned data source', () => {
  const provisioned = parse(
    readFileSync(join(import.meta.dirname, 'provisioning/datasources/acgs.yml'), 'utf8'),
  ) as { datasources: { name: string; uid: string }[] };
  expect(provisioned.datasources.map(({ name }) => name)).toContain('ACGS-PostgreSQL');
  const uids = new Set(provisioned.datasources.map(({ uid }) => uid));
  for (const file of ['acgs-load-balancing.json', 'acgs-history.json']) {
    const board = JSON.parse(readFileSync(join(import.meta.dirname, 'dashboards', file), 'utf8')) as {
      panels: { id: number; type: string; datasource?: { uid: string } }[];
    };
    expect(new Set(board.panels.map(({ id }) => id)).size).toBe(board.panels.length);
    for (const panel of board.panels) {
      if (panel.type !== 'row') expect(uids).toContain(panel.datasource?.uid);
    }
  }
  expect(panelQueries().length).toBeGreaterThan(40);
});

test('Grafana variables are replaced as Grafana does', () => {
  expect(asPromql('rate(x{service=~"$service"}[$__rate_interval])', 60)).toBe('rate(x{service=~".*"}[60s])');
  const sql = 'SELECT $__unixEpochGroup(timestamp, $__interval) FROM t WHERE $__unixEpochFilter(timestamp)';
  expect(asSql(sql, 10, 20, 5)).toBe(
    'SELECT floor(timestamp / 5) * 5 FROM t WHERE timestamp >= 10 AND timestamp <= 20',
  );
});
