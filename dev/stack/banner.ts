import { plural } from '../../agent/cli/format.ts';
import type { Config } from '../../shared/config/config.ts';
import type { DemoInstance } from './layout.ts';
import { instanceCommand } from './services.ts';
import type { StackFile } from './stack-file.ts';

export interface BannerInput {
  stack: StackFile;
  stateDir: string;
  /** Address of the Worker's inspector, under wrangler dev. */
  inspector: string | null;
  services: number;
  demo: DemoInstance[];
  /** A path of the first service. */
  firstPath: string;
  /** The instance of the first response, or null when none has answered yet. */
  firstResponder: string | null;
  seconds: number;
}

type BannerRow = [name: string, value: string, note: string];

/** The text that `npm start` prints when the stack is ready: addresses and commands to try. */
export function banner(input: BannerInput): string {
  const { stack } = input;
  const rows: BannerRow[] = [
    ['edge', stack.edge, 'send requests here'],
    ...(input.inspector
      ? [['inspector', input.inspector, 'add it at chrome://inspect → Configure'] as BannerRow]
      : []),
    ['gateway', stack.gateway ?? 'not running', stack.gateway ? 'HAProxy' : 'HAProxy not installed'],
    ['dashboard', `${stack.agent}/`, 'live view'],
    ['', stack.adminToken, 'token for changes'],
    ...(stack.haproxyStats
      ? [
          ['HAProxy', stack.haproxyStats, 'statistics page'] as BannerRow,
          ['', stack.haproxyStatsAuth ?? '', 'user:password'] as BannerRow,
        ]
      : []),
    [
      'Redis',
      stack.redis ? withoutPassword(stack.redis) : 'embedded',
      stack.redis ? 'live state' : 'live state in memory',
    ],
    [
      'Postgres',
      stack.postgres ? withoutPassword(stack.postgres) : 'embedded',
      stack.postgres ? 'history' : 'history in PGlite',
    ],
  ];
  const width = Math.max(...rows.map(([, address]) => address.length)) + 2;
  return [
    '',
    `acgs-lb is running: ${plural(input.services, 'service')}, ${plural(stack.instances.length, 'instance')}. ${firstResponse(input)}`,
    '',
    ...rows.map(([name, address, note]) => `  ${name.padEnd(11)}${address.padEnd(width)}${note}`),
    '',
    `  tokens, pids and full URLs: ${input.stateDir}/stack.json`,
    `  logs: ${input.stateDir}/logs/`,
    '',
    'Try:',
    ...suggestions(input),
    '',
    'Ctrl-C stops everything that was started here.',
    '',
  ].join('\n');
}

/** A path that the service should answer, according to its configuration. */
export function pathOf({ routes, health }: Pick<Config['services'][string], 'routes' | 'health'>): string {
  const route = (routes[0] ?? '/').replace(/\/$/, '');
  return route === '' && health.type === 'http' ? health.path : `${route}/health`;
}

/** An `acgs-lb` command for this stack. The default state folder needs no option. */
const command = ({ stateDir }: BannerInput, args: string) =>
  `npx acgs-lb ${args}${stateDir === '.acgs' ? '' : ` --state-dir ${stateDir}`}`;

function firstResponse(input: BannerInput): string {
  return input.firstResponder
    ? `First response from ${input.firstResponder} after ${input.seconds.toFixed(1)} s.`
    : `No instance has answered yet; ${command(input, 'status')} shows why.`;
}

function suggestions(input: BannerInput): string[] {
  const { stack, demo, firstPath } = input;
  const url = `${stack.edge}${firstPath}`;
  const victim = demo[0];
  const pid = stack.instances.find(({ id }) => id === victim?.id)?.pid;
  return [
    '  # the header x-acgs-instance names the instance that answered',
    `  curl -si ${url}`,
    ...(victim && pid
      ? [
          `  # kill ${victim.id} and repeat the request: no request fails`,
          `  kill -9 ${pid}`,
          '  # restart it',
          `  ${instanceCommand(victim)}`,
        ]
      : [`  ${command(input, 'status')}`, `  ${command(input, 'events')}`]),
  ];
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/([^:@/]*):[^@/]*@/, (_all, user: string) => (user ? `//${user}@` : '//'));
}
