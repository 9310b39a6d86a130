import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, InvalidArgumentError, Option } from 'commander';
import { parseDuration } from '../../../shared/config/duration.ts';
import { durationText } from '../../../shared/config/scalars.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import type { ApiInstance } from '../../http/schemas/instances.ts';
import { integerBetween } from '../arguments.ts';
import type { ApiClient } from '../client.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { ApiError, CliUsageError, CommandFailed, EXIT_FAILED } from '../errors.ts';
import { changeInstance, readInstances, whyUncontrolled } from '../instance-api.ts';
import { openRolloutRecord, type RolloutRecordFile } from '../rollout/record-file.ts';
import {
  newRecord,
  type RolloutEnd,
  type RolloutIo,
  type RolloutRecord,
  runRollout,
} from '../rollout/rollout.ts';
import { runCommand } from '../rollout/run-command.ts';
import { replaceControlCharacters } from '../terminal.ts';

interface RolloutOptions {
  maxUnavailable: number;
  deadline: number;
  healthyWithin: number;
  settle: number;
  commandTimeout?: number;
  cutRemaining?: boolean;
  resume?: boolean;
}

const EXIT_INTERRUPTED = 130;
/** An agent that restarts meanwhile is back within this time. */
const AGENT_GAP_MS = 30_000;

export function registerRollout(program: Command): void {
  program
    .command('rollout')
    .description('run a deploy command for each instance of a service, drained, one after another')
    .argument('<service>')
    .argument('[command...]', 'after --: the program and its arguments; with --resume: as before if left out')
    .option(
      '--max-unavailable <n>',
      'instances that may be out at the same time',
      integerBetween(1, 1_000),
      1,
    )
    .addOption(
      durationOption('--deadline <duration>', 'how long to wait for sessions, then for requests', 60_000),
    )
    .addOption(
      durationOption('--healthy-within <duration>', 'time for the new build to pass its probes', 120_000),
    )
    .addOption(
      durationOption('--settle <duration>', 'how long it must serve well before the next one', 30_000),
    )
    .addOption(
      new Option(
        '--command-timeout <duration>',
        'end a command that runs longer, which stops the rollout (default: never)',
      ).argParser(parseDurationOption),
    )
    .option('--cut-remaining', 'at the deadline, run the command although requests are or may be in flight')
    .option('--resume', 'continue the rollout that stopped, with the instance where it stopped')
    .addHelpText('after', HELP)
    .action(async (service: string, words: string[], options: RolloutOptions, command: Command) => {
      const context = contextOf(command);
      const client = await context.quietClient();
      await requireEnoughInstances(client, service, options.maxUnavailable);
      const file = await openRolloutRecord(context.stateDir, service);
      try {
        const record = await prepareRecord(context, file, {
          service,
          words,
          resume: options.resume === true,
        });
        await run({ context, client, file, options }, record);
      } finally {
        file.close();
      }
    });
}

const HELP = `
The command gets ACGS_SERVICE, ACGS_INSTANCE and ACGS_URL. The instance is in maintenance meanwhile.
After it, the instance must pass its probes, and serve without being an outlier for the settle time.
On any failure the rollout stops. An instance whose command has begun stays in maintenance, the
others get ready again. The last serving instance is never drained. Instances that an operator has
drained before are left out.

Examples:
  acgs-lb rollout gs -- ./deploy.sh
  acgs-lb rollout gs --max-unavailable 2 -- sh -c 'ssh "$ACGS_INSTANCE" systemctl restart gs'
  acgs-lb rollout gs --resume`;

const durationOption = (flags: string, description: string, defaultMs: number): Option =>
  new Option(flags, description).argParser(parseDurationOption).default(defaultMs, durationText(defaultMs));

function parseDurationOption(text: string): number {
  const ms = parseDuration(text);
  if (ms !== null) return ms;
  throw new InvalidArgumentError('Expected a duration such as 30s, 5m or 1h.');
}

async function requireEnoughInstances(client: ApiClient, service: string, out: number): Promise<void> {
  const { length } = await readInstances(client, service);
  if (length === 0) throw new CommandFailed(`${service} has no instance`);
  if (out < length || length === 1) return;
  throw new CliUsageError(
    `--max-unavailable ${out}: ${service} has ${length} instances, and one must go on serving`,
  );
}

async function prepareRecord(
  context: CommandContext,
  file: RolloutRecordFile,
  { service, words, resume }: { service: string; words: string[]; resume: boolean },
): Promise<RolloutRecord> {
  const earlier = await file.read();
  if (resume) {
    if (!earlier) throw new CliUsageError(`no rollout of ${service} to resume`);
    return words.length > 0 ? { ...earlier, command: words } : earlier;
  }
  if (words.length === 0) throw new CliUsageError('name the command after --');
  if (earlier) {
    context.terminal.error(
      `an earlier rollout of ${service} stopped after ${earlier.done.length} instances; this one starts over`,
    );
  }
  return newRecord(service, words, earlier);
}

interface RolloutRun {
  context: CommandContext;
  client: ApiClient;
  file: RolloutRecordFile;
  options: RolloutOptions;
}

/** Records a step, which charts mark. If the agent refuses it, the rollout prints a warning and continues. */
async function recordStep(
  { context, client }: RolloutRun,
  event: { service: string; instance?: string; to: 'started' | 'finished' | 'failed'; reason: string },
): Promise<void> {
  const body = { kind: 'rollout', ...event, reason: event.reason.slice(0, 500) };
  await client.post('/v1/events', 'changeSchema', body).catch((error: unknown) => {
    context.terminal.error(`the rollout is not marked in the history: ${errorMessage(error)}`);
  });
}

/** The arguments of the command may contain secrets. */
const startOf = ({ service, command }: RolloutRecord) => ({
  service,
  to: 'started' as const,
  reason: `rollout with ${basename(command[0] ?? '')}`,
});

const endOf = (service: string, { done, failure }: RolloutEnd) =>
  failure
    ? {
        service,
        instance: failure.instance,
        to: 'failed' as const,
        reason: `rollout stopped: ${failure.reason}`,
      }
    : { service, to: 'finished' as const, reason: `rollout complete: ${done.join(', ') || 'no instance'}` };

async function run(parts: RolloutRun, record: RolloutRecord): Promise<void> {
  const { context, file, options } = parts;
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(new Error('interrupted'));
  process.on('SIGINT', interrupt);
  process.on('SIGTERM', interrupt);
  try {
    await recordStep(parts, startOf(record));
    const end = await runRollout({
      io: createIo(parts, record, controller.signal),
      settings: {
        maxUnavailable: options.maxUnavailable,
        deadlineMs: options.deadline,
        healthyWithinMs: options.healthyWithin,
        settleMs: options.settle,
        cutRemaining: options.cutRemaining === true,
      },
      record,
      signal: controller.signal,
    });
    await (end.failure ? file.save(record) : file.remove());
    await recordStep(parts, endOf(record.service, end));
    context.print({ service: record.service, ...end }, () => describeEnd(record.service, end));
    if (end.failure) process.exitCode = controller.signal.aborted ? EXIT_INTERRUPTED : EXIT_FAILED;
  } finally {
    process.off('SIGINT', interrupt);
    process.off('SIGTERM', interrupt);
  }
}

function createIo(
  { context, client, file, options }: RolloutRun,
  record: RolloutRecord,
  signal: AbortSignal,
): RolloutIo {
  const { service } = record;
  const { terminal, json } = context;
  let total = 0;
  const write = (text: string): void => {
    if (json) terminal.error(replaceControlCharacters(text));
    else terminal.write(replaceControlCharacters(text));
  };
  return {
    async instances() {
      const instances = await withPatience(() => readInstances(client, service), signal);
      total = instances.length;
      return instances;
    },
    uncontrolled: () => withPatience(() => whyUncontrolled(client), signal),
    setAdmin: async (id, state) => {
      await changeInstance(client, service, id, { setting: 'admin', body: { state } });
    },
    run: (instance) =>
      runCommand({
        command: record.command,
        env: environmentOf(instance),
        signal,
        timeoutMs: options.commandTimeout ?? null,
        onLine: (line) => write(`${instance.id} | ${line}`),
      }),
    save: file.save,
    step: (id, text) => write(`${id}  ${record.done.length} of ${total} done  ${text}`),
    progress: (id, text) => terminal.progressLine(`${id}  ${text}`.slice(0, terminal.columns - 1)),
    now: Date.now,
    sleep: (ms, aborted) => sleep(ms, undefined, { signal: aborted }),
  };
}

const environmentOf = ({ service, id, url }: ApiInstance) => ({
  ACGS_SERVICE: service,
  ACGS_INSTANCE: id,
  ACGS_URL: url,
});

/** Repeats a request that gets no answer. An answer of the agent, even a refusal, is final. */
async function withPatience<T>(request: () => Promise<T>, signal: AbortSignal): Promise<T> {
  const startedAt = Date.now();
  for (;;) {
    try {
      return await request();
    } catch (error) {
      const isFinal = error instanceof ApiError || !(error instanceof CommandFailed);
      if (isFinal || signal.aborted || Date.now() - startedAt >= AGENT_GAP_MS) throw error;
      await sleep(1_000);
    }
  }
}

function describeEnd(service: string, { done, skipped, failure }: RolloutEnd): string {
  const left = skipped.length > 0 ? `; left out: ${skipped.join(', ')} (drained by an operator)` : '';
  if (!failure) return `rollout of ${service} complete: ${done.join(', ') || 'no instance'}${left}`;
  return [
    `rollout of ${service} stopped at ${failure.instance}: ${failure.reason}`,
    `done: ${done.join(', ') || 'none'}${left}`,
    `to go on after a repair: acgs-lb rollout ${service} --resume`,
  ].join('\n');
}
