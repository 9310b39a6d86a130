import type { Config } from '../../shared/config/config.ts';
import type { DemoInstance } from './layout.ts';
import { instanceCommand } from './services.ts';
import type { StackFile } from './stack-file.ts';

export interface BannerInput {
  stack: StackFile;
  stateDir: string;
  services: number;
  demo: DemoInstance[];
  /** What the first service is asked for. */
  firstPath: string;
  /** The instance, or null when none answered yet. */
  firstAnswer: string | null;
  seconds: number;
}

type BannerRow = [name: string, value: string, note: string];

/** One screen: where everything is, and three things to try. */
export function banner(facts: BannerInput): string {
  const { stack } = facts;
  const rows: BannerRow[] = [
    ['edge', stack.edge, 'send requests here'],
    [
      'gateway',
      stack.gateway ?? 'not running',
      stack.gateway ? 'HAProxy, behind the edge' : 'HAProxy is not installed',
    ],
    ['dashboard', `${stack.agent}/`, 'what happens, live'],
    ['', stack.adminToken, 'the token to steer there'],
    ...(stack.haproxyStats
      ? [
          ['HAProxy', stack.haproxyStats, 'its own page'] as BannerRow,
          ['', stack.haproxyStatsAuth ?? '', 'user:password there'] as BannerRow,
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
    `acgs-lb runs: ${several(facts.services, 'service')}, ${several(stack.instances.length, 'instance')}. ${firstAnswer(facts)}`,
    '',
    ...rows.map(([name, address, note]) => `  ${name.padEnd(11)}${address.padEnd(width)}${note}`),
    '',
    `  tokens, pids and full URLs: ${facts.stateDir}/stack.json`,
    `  logs: ${facts.stateDir}/logs/`,
    '',
    'Try:',
    ...tries(facts),
    '',
    'Ctrl-C ends everything that was started here.',
    '',
  ].join('\n');
}

/** A path that the service answers, as far as its configuration tells. */
export function pathOf({ routes, health }: Pick<Config['services'][string], 'routes' | 'health'>): string {
  const route = (routes[0] ?? '/').replace(/\/$/, '');
  return route === '' && health.type === 'http' ? health.path : `${route}/health`;
}

const several = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`;

/** The command as it finds this very stack: it looks in .acgs by itself. */
const command = ({ stateDir }: BannerInput, words: string) =>
  `npx acgs-lb ${words}${stateDir === '.acgs' ? '' : ` --state-dir ${stateDir}`}`;

function firstAnswer(facts: BannerInput): string {
  return facts.firstAnswer
    ? `First answer from ${facts.firstAnswer}, after ${facts.seconds.toFixed(1)} s.`
    : `No instance has answered yet: ${command(facts, 'status')} tells why.`;
}

function tries(facts: BannerInput): string[] {
  const { stack, demo, firstPath } = facts;
  const url = `${stack.edge}${firstPath}`;
  const victim = demo[0];
  const pid = stack.instances.find(({ id }) => id === victim?.id)?.pid;
  return [
    '  # x-acgs-instance tells which instance answered',
    `  curl -si ${url}`,
    ...(victim && pid
      ? [
          `  # ends ${victim.id}; go on asking: no request fails`,
          `  kill -9 ${pid}`,
          '  # brings it back',
          `  ${instanceCommand(victim)}`,
        ]
      : [`  ${command(facts, 'status')}`, `  ${command(facts, 'events')}`]),
  ];
}

function withoutPassword(url: string): string {
  return url.replace(/\/\/([^:@/]*):[^@/]*@/, (_all, user: string) => (user ? `//${user}@` : '//'));
}
