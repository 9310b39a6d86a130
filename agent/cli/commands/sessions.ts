import { Argument, type Command, Option } from 'commander';
import type { ApiSession } from '../../http/schemas/sessions.ts';
import { SESSION_STATES, WORKFLOW_TYPES } from '../../sessions/session.ts';
import { integerBetween, rejectUnknownSubcommand } from '../arguments.ts';
import type { ApiClient } from '../client.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { formatTable, replaceControlCharacters, type Terminal, wrapText } from '../terminal.ts';

const VERSION_HINT = '`acgs-lb sessions get <id>` shows the current version';
const VERSION_OPTION = ['--version <n>', 'change the session only if it has this version'] as const;

const sessionPath = (id: string): string => `/v1/sessions/${encodeURIComponent(id)}`;

export function registerSessions(program: Command): void {
  const sessions = program
    .command('sessions')
    .description('create, advance, suspend and list governance sessions')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb sessions list --state active\n  acgs-lb sessions create policy_creation ada\n' +
        '  acgs-lb sessions advance 0198… draft --version 1',
    );
  registerList(sessions);
  registerGet(sessions);
  registerStats(sessions);
  registerCreate(sessions);
  registerAdvance(sessions);
  registerTransition(sessions, 'suspend', 'pause a session');
  registerTransition(sessions, 'fail', 'end a session as failed');
  registerTransition(sessions, 'resume', 'continue a suspended session');
  registerTransition(sessions, 'complete', 'end a session as completed');
  registerPin(sessions);
}

function registerList(sessions: Command): void {
  sessions
    .command('list', { isDefault: true })
    .description('list sessions, newest first')
    .option('--user <id>', 'only sessions of this user')
    .addOption(new Option('--state <state>', 'only sessions in this state').choices(SESSION_STATES))
    .option('--limit <n>', 'maximum number of sessions', integerBetween(1, 1000), 50)
    .allowExcessArguments()
    .action(async (options: { limit: number; user?: string; state?: string }, command: Command) => {
      rejectUnknownSubcommand(command);
      const context = contextOf(command);
      const query = new URLSearchParams({ ...options, limit: String(options.limit) });
      const client = await context.client();
      const response = await client.get(`/v1/sessions?${query}`, 'sessionListSchema');
      context.print(response, ({ sessions: list }) => listText(list, context));
    });
}

function registerGet(sessions: Command): void {
  sessions
    .command('get')
    .description('show one session with its steps, pins and moves')
    .argument('<id>')
    .action((id: string, _options: unknown, command: Command) =>
      printSession(command, (client) => client.get(sessionPath(id), 'sessionSchema')),
    );
}

function registerStats(sessions: Command): void {
  sessions
    .command('stats')
    .description('show the number of sessions by state and workflow, and their durations')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      context.print(await client.get('/v1/sessions/stats', 'sessionStatsSchema'), (stats) => {
        const age = stats.averageAge === null ? '' : `; average age ${formatDuration(stats.averageAge)}`;
        const open = `${formatCounts(stats.byWorkflow)}${age}`;
        const completed =
          stats.averageDuration === null
            ? 'none yet'
            : `after ${formatDuration(stats.averageDuration)} on average`;
        return [
          `sessions   ${stats.total}: ${formatCounts(stats.byState)}`,
          `open       ${wrapText(open, 11, context.terminal)}`,
          `completed  ${completed}`,
          `moves      ${stats.moves}`,
        ].join('\n');
      });
    });
}

const formatCounts = (counts: Record<string, number>): string =>
  Object.entries(counts)
    .map(([name, count]) => `${name} ${count}`)
    .join(', ') || 'none';

function registerCreate(sessions: Command): void {
  sessions
    .command('create')
    .description('start a workflow')
    .addArgument(new Argument('<workflowType>').choices(WORKFLOW_TYPES))
    .argument('<userId>')
    .option('--metadata <json>', 'JSON object to store with the session')
    .action(
      async (workflowType: string, userId: string, options: { metadata?: string }, command: Command) => {
        const metadata = parseObjectOption('metadata', options.metadata);
        const body = { workflowType, userId, metadata };
        await printSession(command, (client) => client.post('/v1/sessions', 'sessionSchema', body));
      },
    );
}

function registerAdvance(sessions: Command): void {
  sessions
    .command('advance')
    .description('complete the current step and go to another')
    .argument('<id>')
    .argument('<step>')
    .option(
      '--version <n>',
      `the version you have seen; fails if the session has changed since. ${VERSION_HINT}`,
    )
    .option('--data <json>', 'JSON object to merge into the data of the session')
    .action(
      async (id: string, step: string, options: { version?: string; data?: string }, command: Command) => {
        if (options.version === undefined) {
          throw new CliUsageError(`--version is missing; ${VERSION_HINT}`);
        }
        const version = parseVersion(options.version);
        const data = parseObjectOption('data', options.data);
        await postTransition(command, id, 'advance', { step, version, data });
      },
    );
}

function registerTransition(
  sessions: Command,
  name: 'suspend' | 'fail' | 'resume' | 'complete',
  description: string,
): void {
  const command = sessions
    .command(name)
    .description(description)
    .argument('<id>')
    .option(...VERSION_OPTION);
  if (name === 'suspend' || name === 'fail')
    command.option('--reason <text>', 'reason, shown with the session');
  command.action((id: string, { reason, version }: { reason?: string; version?: string }) =>
    postTransition(command, id, name, { version: parseVersion(version), reason }),
  );
}

function registerPin(sessions: Command): void {
  const command = sessions
    .command('pin')
    .description('move a session to another instance of a service')
    .argument('<id>')
    .argument('<service>')
    .argument('<instance>');
  command.action((id: string, service: string, instance: string) => {
    const path = `${sessionPath(id)}/pins/${encodeURIComponent(service)}`;
    return printSession(command, (client) => client.put(path, 'sessionSchema', { instance }));
  });
}

const postTransition = (command: Command, id: string, name: string, body: object): Promise<void> =>
  printSession(command, (client) => client.post(`${sessionPath(id)}/${name}`, 'sessionSchema', body));

async function printSession(
  command: Command,
  request: (client: ApiClient) => Promise<ApiSession>,
): Promise<void> {
  const context = contextOf(command);
  context.print(await request(await context.client()), (session) => formatSession(session, context.terminal));
}

function parseVersion(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const version = Number(text);
  if (Number.isInteger(version) && version >= 1) return version;
  throw new CliUsageError(`--version must be a whole number from 1; ${VERSION_HINT}`);
}

function parseObjectOption(name: string, text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Invalid JSON: the error below.
  }
  throw new CliUsageError(`--${name} must be a JSON object`);
}

function listText(list: readonly ApiSession[], { terminal }: CommandContext): string {
  if (list.length === 0) return 'no sessions';
  return formatTable(
    list,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'WORKFLOW', value: ({ workflowType }) => workflowType, shrinkFactor: 1, dropPriority: 1 },
      { title: 'USER', value: ({ userId }) => userId, shrinkFactor: 1, dropPriority: 1 },
      { title: 'STATE', value: ({ state }) => state, style: ({ state }) => sessionStateStyle(state) },
      { title: 'STEP', value: ({ currentStep }) => currentStep, shrinkFactor: 1 },
      { title: 'VERSION', value: (session) => String(session.version), align: 'right', dropPriority: 2 },
      {
        title: 'LAST ACTIVITY',
        value: ({ lastActivity }) => new Date(lastActivity).toISOString(),
        dropPriority: 3,
      },
    ],
    terminal,
  );
}

export function formatSession(session: ApiSession, terminal: Terminal): string {
  const instant = (at: number) => new Date(at).toISOString();
  const finishedSteps = session.completedSteps.filter(
    (step) => session.state !== 'completed' || step !== session.currentStep,
  );
  const time = (step: string) => formatDuration(session.stepDurations[step] ?? 0);
  const steps = finishedSteps.map((step) => `${step} (${time(step)})`);
  const pins = Object.entries(session.pins)
    .sort()
    .map(([service, instance]) => `${service} → ${instance}`);
  const moves = session.moves.map(
    ({ at, service, from, to, reason }) => `${instant(at)} ${service}: ${from} → ${to} (${reason})`,
  );
  const lines: [string, string][] = [
    ['session', `${session.id}, version ${session.version}`],
    ['workflow', `${session.workflowType} of ${session.userId}`],
    ['state', `${session.state}${session.reason ? `: ${session.reason}` : ''}`],
    [
      'step',
      `${session.currentStep}${session.state === 'completed' ? ` (${time(session.currentStep)})` : ''}${steps.length > 0 ? `, after ${steps.join(', ')}` : ''}`,
    ],
    ['pins', pins.join(', ') || 'none'],
    ...moves.map((move): [string, string] => ['moved', move]),
    ['started', `${instant(session.createdAt)}, last activity ${instant(session.lastActivity)}`],
  ];
  return lines
    .map(([name, text]) => `${name.padEnd(11)}${wrapText(replaceControlCharacters(text), 11, terminal)}`)
    .join('\n');
}

const sessionStateStyle = (state: string) =>
  state === 'active' ? 'green' : state === 'failed' || state === 'expired' ? 'red' : 'yellow';

function formatDuration(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
