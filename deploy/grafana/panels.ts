import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export interface PanelQuery {
  dashboard: string;
  panel: string;
  kind: 'prometheus' | 'postgres';
  query: string;
}

interface Panel {
  title: string;
  type: string;
  targets?: { expr?: string; rawSql?: string }[];
}

/** Every query of every panel of the shipped dashboards. */
export function panelQueries(folder: string = join(import.meta.dirname, 'dashboards')): PanelQuery[] {
  return globSync('*.json', { cwd: folder })
    .sort()
    .flatMap((file) => {
      const board = JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
        title: string;
        panels: Panel[];
      };
      return board.panels.flatMap(({ title, targets = [] }) =>
        targets.map(({ expr, rawSql }): PanelQuery => {
          const where = { dashboard: board.title, panel: title };
          if (expr) return { ...where, kind: 'prometheus', query: expr };
          if (rawSql) return { ...where, kind: 'postgres', query: rawSql };
          throw new Error(`${file}: "${title}" has a target without a query`);
        }),
      );
    });
}

/** The query that Grafana sends to Prometheus, with a rate interval of `seconds`. */
export const asPromql = (query: string, seconds: number): string =>
  query.replaceAll('$__rate_interval', `${seconds}s`).replaceAll(/\$(?:site|service)\b/g, '.*');

/** The query that Grafana sends to Postgres for the time from `from` to `to` (epoch seconds), in steps of `step` seconds. Of all sites. */
export function asSql(query: string, from: number, to: number, step: number): string {
  return query
    .replaceAll('$site', 'SELECT site FROM upkeep_state UNION SELECT site FROM dirty_hours')
    .replaceAll(/\$__unixEpochFilter\((\w+)\)/g, `$1 >= ${from} AND $1 <= ${to}`)
    .replaceAll(/\$__unixEpochGroup\((\w+),\s*\$__interval\)/g, `floor($1 / ${step}) * ${step}`);
}
