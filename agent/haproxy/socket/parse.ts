// Parsers of HAProxy's Runtime API responses. They find columns by name, because every HAProxy version adds some.

import type { StatusCounts } from '../../core/state.ts';

/** A server in `show stat`. Counters start with the worker process. */
export interface ServerStat {
  service: string;
  instance: string;
  /** `UP`, `DOWN`, `MAINT`, `DRAIN`, `UP 1/3`, `NOLB`, `no check` … */
  status: string;
  /** Result of HAProxy's own last check: `L7OK`, `L4CON` …, without the `* ` prefix of a running check. */
  check: string;
  /** False after `agent down`. */
  agentUp: boolean;
  weight: number;
  queued: number;
  inflight: number;
  /** `maxconn`; 0: no limit. */
  limit: number;
  responses: { ok: number; failed: number };
  /** The responses by class; 1xx counts as 2xx. */
  statuses: StatusCounts;
  /** Every request that HAProxy assigned to this server. */
  attempts: number;
  /** Requests that could not connect to this server. */
  connectFailures: number;
  /** Requests that moved from this server to another one. */
  redispatches: number;
  clientAborts: number;
  /** Responses that broke off before their end. */
  serverAborts: number;
}

export function parseStat(text: string): ServerStat[] {
  const [head = '', ...rows] = text.split('\n');
  const names = head.replace(/^# /, '').split(',');
  const column = new Map(names.map((name, index) => [name, index]));
  return rows.flatMap((row) => {
    const cells = splitRow(row);
    const cell = (name: string): string => cells[column.get(name) ?? -1] ?? '';
    const count = (name: string): number => parseCount(cell(name));
    // Type 2 is a server; 0 is a frontend, 1 a backend, 3 a listener.
    if (cell('type') !== '2') return [];
    return [
      {
        service: cell('pxname'),
        instance: cell('svname'),
        status: cell('status'),
        check: cell('check_status').replace(/^\* /, ''),
        agentUp: cell('agent_health') !== '0',
        weight: count('uweight'),
        queued: count('qcur'),
        inflight: count('scur'),
        limit: count('slim'),
        responses: {
          ok: count('hrsp_1xx') + count('hrsp_2xx') + count('hrsp_3xx') + count('hrsp_4xx'),
          failed: count('hrsp_5xx') + count('hrsp_other'),
        },
        statuses: {
          '2xx': count('hrsp_1xx') + count('hrsp_2xx'),
          '3xx': count('hrsp_3xx'),
          '4xx': count('hrsp_4xx'),
          '5xx': count('hrsp_5xx') + count('hrsp_other'),
        },
        attempts: count('stot'),
        connectFailures: count('econ'),
        redispatches: count('wredis'),
        clientAborts: count('cli_abrt'),
        serverAborts: count('srv_abrt'),
      },
    ];
  });
}

/** 0 for text that is not a counter. */
const parseCount = (text: string): number => (/^\d{1,15}$/.test(text) ? Number(text) : 0);

/** Values contain commas only inside quotes. */
function splitRow(row: string): string[] {
  if (!row.includes('"')) return row.split(',');
  const cells: string[] = [];
  for (const match of row.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return cells;
}

/** A server in `show servers state`: its admin state, from any source, and its address. */
export interface ServerState {
  service: string;
  instance: string;
  admin: 'ready' | 'drain' | 'maint';
  /** False: it follows the health of another server and takes no verdict. */
  hasAgentCheck: boolean;
  address: string;
  port: number;
}

/**
 * Bits of srv_admin_state: forced and inherited maintenance; forced and inherited drain. The maintenance bit of an
 * address that does not resolve (0x20) is not an admin state.
 */
const MAINT = 0x01 | 0x02;
const DRAIN = 0x08 | 0x10;

export function parseServersState(text: string): ServerState[] {
  const lines = text.split('\n');
  const head = lines.findIndex((line) => line.startsWith('# '));
  if (head < 0) return [];
  const column = new Map(
    lines[head]
      ?.slice(2)
      .split(' ')
      .map((name, index) => [name, index]),
  );
  return lines.slice(head + 1).flatMap((line) => {
    const cells = line.split(' ');
    const cell = (name: string): string => cells[column.get(name) ?? -1] ?? '';
    const instance = cell('srv_name');
    if (!instance) return [];
    const flags = Number(cell('srv_admin_state'));
    return [
      {
        service: cell('be_name'),
        instance,
        admin: flags & MAINT ? 'maint' : flags & DRAIN ? 'drain' : 'ready',
        hasAgentCheck: cell('srv_agent_state') !== '0',
        address: cell('srv_addr'),
        port: parseCount(cell('srv_port')),
      },
    ];
  });
}

/** The ids of the connections to one server in `show sess`: `0x…: proto=tcpv4 src=… fe=… be=gs:long srv=gs-1 …`. */
export const parseSessions = (text: string, backend: string, server: string): string[] =>
  text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const [id = ''] = fields;
    if (!fields.includes(`be=${backend}`) || !fields.includes(`srv=${server}`)) return [];
    return /^0x[0-9a-f]+:$/.test(id) ? [id.slice(0, -1)] : [];
  });

/** The worker that answers, and whether a reload has replaced it. */
export function parseInfo(text: string) {
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? '';
  return {
    pid: parseCount(field('Pid')),
    stopping: field('Stopping') === '1',
    version: field('Version'),
    description: field('description'),
  };
}

/** The fingerprint among the names of `show backend`. */
export const parseFingerprint = (text: string): string | null =>
  text.split('\n').find((name) => name.startsWith('acgs-lb:')) ?? null;
