import { Argument, type Command, Option } from 'commander';
import { type ApiSession, sessionListSchema, sessionSchema, sessionStatsSchema } from '../../http/schemas.ts';
import { SESSION_STATES, WORKFLOW_TYPES } from '../../sessions/session.ts';
import { integerBetween, rejectUnknownSubcommand } from '../arguments.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { parseResponse } from '../response-schemas.ts';
import { formatTable, replaceControlCharacters, type Terminal, wrapText } from '../terminal.ts';

const WHERE_VERSION = '`acgs-lb sessions get <id>` tells the present one';

export function registerSessions(program: Command): void {
  const sessions = program
    .command('sessions')
    .description('governance workflows: create, advance, suspend, list')
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb sessions list --state active\n  acgs-lb sessions create policy_creation ada\n' +
        '  acgs-lb sessions advance 0198… draft --version 1',
    );
  readers(sessions);
  writers(sessions);
}

function readers(sessions: Command): void {
  sessions
    .command('list', { isDefault: true })
    .description('sessions, newest first')
    .option('--user <id>', 'only of this user')
    .addOption(new Option('--state <state>', 'only in this state').choices(SESSION_STATES))
    .option('--limit <n>', 'at most so many', integerBetween(1, 1000), 50)
    .allowExcessArguments()
    .action(async (options: { limit: number; user?: string; state?: string }, command: Command) => {
      rejectUnknownSubcommand(command);
      const context = contextOf(command);
      const query = new URLSearchParams({ ...options, limit: String(options.limit) });
      const answer = await (await context.client()).get(`/v1/sessions?${query}`);
      const { sessions: found } = parseResponse(sessionListSchema, answer, 'sessions');
      context.print({ sessions: found }, () => listText(found, context));
    });
  sessions
    .command('get')
    .description('one session: steps, pins, moves')
    .argument('<id>')
    .action(async (id: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      show(context, await (await context.client()).get(`/v1/sessions/${encodeURIComponent(id)}`));
    });
  sessions
    .command('stats')
    .description('how many, in which state, how long')
    .action(async (_options: unknown, command: Command) => {
      const context = contextOf(command);
      const answer = parseResponse(
        sessionStatsSchema,
        await (await context.client()).get('/v1/sessions/stats'),
        'statistics',
      );
      context.print(answer, (stats) => {
        const counts = (of: Record<string, number>) =>
          Object.entries(of)
            .map(([name, count]) => `${name} ${count}`)
            .join(', ') || 'none';
        return [
          `sessions   ${stats.total}: ${counts(stats.byState)}`,
          `open       ${wrapText(`${counts(stats.byWorkflow)}${stats.averageAge === null ? '' : `; on average ${spell(stats.averageAge)} old`}`, 11, context.terminal)}`,
          `completed  ${stats.averageDuration === null ? 'none yet' : `after ${spell(stats.averageDuration)} on average`}`,
          `moves      ${stats.moves}`,
        ].join('\n');
      });
    });
}

function writers(sessions: Command): void {
  sessions
    .command('create')
    .description('begin a workflow')
    .addArgument(new Argument('<workflowType>').choices(WORKFLOW_TYPES))
    .argument('<userId>')
    .option('--metadata <json>', 'a JSON object to keep with it')
    .action(
      async (workflowType: string, userId: string, options: { metadata?: string }, command: Command) => {
        const context = contextOf(command);
        const body = { workflowType, userId, ...optionalObject('metadata', options.metadata) };
        show(context, await (await context.client()).post('/v1/sessions', body));
      },
    );
  sessions
    .command('advance')
    .description('leave the current step for another')
    .argument('<id>')
    .argument('<step>')
    .option(
      '--version <n>',
      'the version you have seen (acgs-lb sessions get <id> tells it); another one means somebody was faster',
    )
    .option('--data <json>', 'a JSON object to merge into its data')
    .action(
      async (id: string, step: string, options: { version?: string; data?: string }, command: Command) => {
        if (options.version === undefined) throw new CliUsageError(`--version is missing: ${WHERE_VERSION}`);
        const body = { step, ...version(options), ...optionalObject('data', options.data) };
        await send(command, id, 'advance', body);
      },
    );
  const withReason = [
    ['suspend', 'pause a session'],
    ['fail', 'end a session that went wrong'],
  ] as const;
  for (const [name, description] of withReason) {
    sessions
      .command(name)
      .description(description)
      .argument('<id>')
      .option('--reason <text>')
      .option('--version <n>', 'only if this is its version')
      .action(async (id: string, options: { reason?: string; version?: string }, command: Command) => {
        const reason = options.reason === undefined ? {} : { reason: options.reason };
        await send(command, id, name, { ...version(options), ...reason });
      });
  }
  const plain = [
    ['resume', 'go on with a suspended session'],
    ['complete', 'end a session well'],
  ] as const;
  for (const [name, description] of plain) {
    sessions
      .command(name)
      .description(description)
      .argument('<id>')
      .option('--version <n>', 'only if this is its version')
      .action((id: string, options: { version?: string }, command: Command) =>
        send(command, id, name, version(options)),
      );
  }
  sessions
    .command('pin')
    .description('move a session to another instance of a service')
    .argument('<id>')
    .argument('<service>')
    .argument('<instance>')
    .action(async (id: string, service: string, instance: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      const path = `/v1/sessions/${encodeURIComponent(id)}/pins/${encodeURIComponent(service)}`;
      show(context, await (await context.client()).put(path, { instance }));
    });
}

async function send(command: Command, id: string, what: string, body: object): Promise<void> {
  const context = contextOf(command);
  show(context, await (await context.client()).post(`/v1/sessions/${encodeURIComponent(id)}/${what}`, body));
}

function version(options: { version?: string }): { version?: number } {
  if (options.version === undefined) return {};
  const value = Number(options.version);
  if (!Number.isInteger(value) || value < 1) {
    throw new CliUsageError(`--version must be a whole number from 1: ${WHERE_VERSION}`);
  }
  return { version: value };
}

function optionalObject(name: string, text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { [name]: value };
  } catch {
    // Said below, as for any other text that is no object.
  }
  throw new CliUsageError(`--${name} must be a JSON object`);
}

function show(context: CommandContext, answer: unknown): void {
  context.print(parseResponse(sessionSchema, answer, 'session'), (session) =>
    formatSession(session, context.terminal),
  );
}

function listText(list: readonly ApiSession[], { terminal }: CommandContext): string {
  if (list.length === 0) return 'no sessions';
  return formatTable(
    list,
    [
      { title: 'ID', value: ({ id }) => id },
      { title: 'WORKFLOW', value: ({ workflowType }) => workflowType, shrinkFactor: 1, dropPriority: 1 },
      { title: 'USER', value: ({ userId }) => userId, shrinkFactor: 1, dropPriority: 1 },
      { title: 'STATE', value: ({ state }) => state, style: ({ state }) => colour(state) },
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

/** One session for a terminal. */
export function formatSession(session: ApiSession, terminal: Terminal): string {
  const instant = (at: number) => new Date(at).toISOString();
  const over = session.completedSteps.filter(
    (step) => session.state !== 'completed' || step !== session.currentStep,
  );
  const time = (step: string) => spell(session.stepDurations[step] ?? 0);
  const steps = over.map((step) => `${step} (${time(step)})`);
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
    ['began', `${instant(session.createdAt)}, last activity ${instant(session.lastActivity)}`],
  ];
  return lines
    .map(([name, text]) => `${name.padEnd(11)}${wrapText(replaceControlCharacters(text), 11, terminal)}`)
    .join('\n');
}

const colour = (state: string) =>
  state === 'active' ? 'green' : state === 'failed' || state === 'expired' ? 'red' : 'yellow';

function spell(seconds: number | null): string {
  if (seconds === null) return '-';
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  if (seconds < 3600) return `${(seconds / 60).toFixed(1)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}
