/** HAProxy's answers, taken apart. Columns are found by name: each version adds some. */

/** A server's counters and condition, from `show stat`. Counters run from the worker's start. */
export interface ServerStat {
  service: string;
  instance: string;
  /** `UP`, `DOWN`, `MAINT`, `DRAIN`, `UP 1/3`, `NOLB`, `no check` … */
  status: string;
  /** Of its own checks: `L7OK`, `L4CON` …; `* ` in front while one runs is taken off. */
  check: string;
  /** Verdict axis: false after `agent down`. */
  agentUp: boolean;
  weight: number;
  address: string;
  queued: number;
  inflight: number;
  responses: { ok: number; failed: number };
  /** Tries: every request that was given to this server, whatever became of it. */
  tries: number;
  /** Requests that found no server to connect to, and requests moved to another one. */
  unconnected: number;
  redispatches: number;
  clientAborts: number;
  /** Answers that broke off half-way. */
  serverAborts: number;
  /** Mean of the last 1,024 answers, milliseconds. */
  responseMs: number;
}

export function parseStat(text: string): ServerStat[] {
  const [head = '', ...rows] = text.split('\n');
  const names = head.replace(/^# /, '').split(',');
  const column = new Map(names.map((name, index) => [name, index]));
  return rows.flatMap((row) => {
    const cells = splitRow(row);
    const cell = (name: string): string => cells[column.get(name) ?? -1] ?? '';
    const count = (name: string): number => Number(cell(name)) || 0;
    // Type 2 is a server; 0 frontend, 1 backend, 3 listener.
    if (cell('type') !== '2') return [];
    return [
      {
        service: cell('pxname'),
        instance: cell('svname'),
        status: cell('status'),
        check: cell('check_status').replace(/^\* /, ''),
        agentUp: cell('agent_health') !== '0',
        weight: count('uweight'),
        address: cell('addr'),
        queued: count('qcur'),
        inflight: count('scur'),
        responses: {
          ok: count('hrsp_1xx') + count('hrsp_2xx') + count('hrsp_3xx') + count('hrsp_4xx'),
          failed: count('hrsp_5xx') + count('hrsp_other'),
        },
        tries: count('stot'),
        unconnected: count('econ'),
        redispatches: count('wredis'),
        clientAborts: count('cli_abrt'),
        serverAborts: count('srv_abrt'),
        responseMs: count('rtime'),
      },
    ];
  });
}

/** Values hold commas only inside quotes. */
function splitRow(row: string): string[] {
  if (!row.includes('"')) return row.split(',');
  const cells: string[] = [];
  for (const match of row.matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,]*))/g)) {
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
  }
  return cells;
}

/** A server as `show servers state` knows it: what the operator said, by whatever means. */
export interface ServerState {
  service: string;
  instance: string;
  admin: 'ready' | 'drain' | 'maint';
  address: string;
  port: number;
}

/** Bits of srv_admin_state: forced and inherited maintenance; forced and inherited drain. No address yet is not an order. */
const MAINT = 0x01 | 0x02;
const DRAIN = 0x08 | 0x10;

export function parseServersState(text: string): ServerState[] {
  const lines = text.split('\n');
  const head = lines.find((line) => line.startsWith('# '));
  if (!head) return [];
  const names = head.slice(2).split(' ');
  const at = (name: string): number => names.indexOf(name);
  const [service, instance, admin, address, port] = [
    at('be_name'),
    at('srv_name'),
    at('srv_admin_state'),
    at('srv_addr'),
    at('srv_port'),
  ];
  return lines.slice(lines.indexOf(head) + 1).flatMap((line) => {
    const cells = line.split(' ');
    const flags = Number(cells[admin ?? -1]);
    const name = cells[instance ?? -1];
    if (!name || Number.isNaN(flags)) return [];
    return [
      {
        service: cells[service ?? -1] ?? '',
        instance: name,
        admin: flags & MAINT ? 'maint' : flags & DRAIN ? 'drain' : 'ready',
        address: cells[address ?? -1] ?? '',
        port: Number(cells[port ?? -1]) || 0,
      },
    ];
  });
}

/** Which worker answers, and whether it is one that a reload has replaced. */
export function parseInfo(text: string) {
  const field = (name: string): string => new RegExp(`^${name}: (.*)$`, 'm').exec(text)?.[1] ?? '';
  return {
    pid: Number(field('Pid')),
    stopping: field('Stopping') === '1',
    version: field('Version'),
    description: field('description'),
  };
}
