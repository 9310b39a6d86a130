import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../../dev/ports.ts';
import { startPrometheus } from '../prometheus/start.ts';
import { asPromql, asSql, panelQueries } from './panels.ts';

export interface MonitoredStack {
  edge: string;
  gateway: string | null;
  haproxyStats: string | null;
  agent: string;
  postgres: string | null;
  instances: { service: string; url: string }[];
}

export interface PanelResult {
  dashboard: string;
  panel: string;
  /** The number of series or rows, or the server's error message. */
  found: number | string;
}

/** Panels that are empty without an incident. */
export const EMPTY_WITHOUT_INCIDENT = new Set(['Breakers']);

/**
 * Runs every panel's query against a running stack with some traffic and a real Prometheus with the shipped configuration
 * and rules. Needs the `prometheus` command.
 */
export async function checkPanels(stack: MonitoredStack): Promise<PanelResult[]> {
  const prometheus = await startPrometheus(stack, await freePort());
  try {
    const stop = traffic(stack);
    try {
      return await waitForAllPanels(stack, prometheus.url, 60_000);
    } finally {
      stop();
    }
  } finally {
    await prometheus.stop();
  }
}

/** Sends five requests a second, through edge and gateway, to all services in turn. */
function traffic({ edge, gateway, instances }: MonitoredStack): () => void {
  const services = [...new Set(instances.map(({ service }) => service))];
  const prefixes: Record<string, string> = {
    auth: '/api/v1/auth',
    ac: '/api/v1/constitutional',
    integrity: '/api/v1/integrity',
    fv: '/api/v1/formal-verification',
    gs: '/api/v1/governance',
    pgc: '/api/v1/policy',
    ec: '/api/v1/evolutionary',
  };
  let turn = 0;
  const timer = setInterval(() => {
    const path = prefixes[services[turn % services.length] ?? ''] ?? '/';
    const base = turn++ % 3 === 0 || !gateway ? edge : gateway;
    fetch(`${base}${path}/panel-check`)
      .then((response) => response.arrayBuffer())
      .catch(() => {});
  }, 200);
  return () => clearInterval(timer);
}

async function waitForAllPanels(
  stack: MonitoredStack,
  url: string,
  withinMs: number,
): Promise<PanelResult[]> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const results = await queryAll(stack, url);
    const unanswered = results.filter(
      ({ panel, found }) => !(Number(found) > 0) && !EMPTY_WITHOUT_INCIDENT.has(panel),
    );
    if (unanswered.length === 0 || Date.now() > deadline) return results;
    await sleep(2_000);
  }
}

async function queryAll(stack: MonitoredStack, url: string): Promise<PanelResult[]> {
  const now = Date.now() / 1000;
  const database = stack.postgres ? new Client(stack.postgres) : null;
  await database?.connect();
  try {
    const results: PanelResult[] = [];
    for (const { dashboard, panel, kind, query } of panelQueries()) {
      if (kind === 'prometheus') {
        results.push({ dashboard, panel, found: await queryPrometheus(url, asPromql(query, 20)) });
      } else if (database) {
        const sql = asSql(query, now - 3_600, now + 60, 10);
        const found = await database.query(sql).then(
          ({ rowCount }) => rowCount ?? 0,
          (error: Error) => error.message,
        );
        results.push({ dashboard, panel, found });
      }
    }
    return results;
  } finally {
    await database?.end();
  }
}

async function queryPrometheus(url: string, query: string): Promise<number | string> {
  const response = await fetch(`${url}/api/v1/query`, {
    method: 'POST',
    body: new URLSearchParams({ query }),
  });
  const answer = (await response.json()) as {
    error?: string;
    data?: { result: { value?: [number, string] }[] };
  };
  // A quantile without samples is NaN, which a panel does not draw.
  return answer.error ?? answer.data?.result.filter(({ value }) => value?.[1] !== 'NaN').length ?? 0;
}
