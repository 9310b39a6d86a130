import { setTimeout as sleep } from 'node:timers/promises';
import type { Command } from 'commander';
import { parseDuration } from '../../../shared/config/duration.ts';
import { isLastServing } from '../../../shared/serving.ts';
import { integerBetween } from '../arguments.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, EXIT_FAILED } from '../errors.ts';
import { stateStyle } from '../format.ts';
import {
  changeInstance,
  findService,
  type InstanceSetting,
  readInstance,
  readInstances,
  whyUncontrolled,
} from '../instance-api.ts';
import { drainText, waitForDrain } from '../rollout/wait.ts';

interface DrainOptions {
  deadline?: string;
  wait?: boolean;
}

/** drain, ready, maint, weight: the operator's settings of one instance. */
export function registerInstanceAdmin(program: Command): void {
  program
    .command('drain')
    .description('send no new sessions to an instance; existing sessions stay')
    .argument('<service>', 'the service; may be left out')
    .argument('[instance]')
    .option(
      '--deadline <duration>',
      'switch to maintenance after this time, for example 5m',
      parseDeadlineOption,
    )
    .option(
      '--wait',
      'return when no request is in flight; exit 1 at the deadline, or if the agent does not control HAProxy',
    )
    .addHelpText(
      'after',
      '\nExamples:\n  acgs-lb drain gs gs-1 --deadline 5m\n  acgs-lb drain gs-1 --wait --deadline 2m',
    )
    .action(async (first: string, second: string | undefined, options: DrainOptions, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      const [service, instance] =
        second === undefined ? [await findService(client, first), first] : [first, second];
      await confirmIfLast(context, service, instance);
      const body = { state: 'drain', deadline: options.deadline } as const;
      if (!options.wait) return putSetting(context, service, instance, { setting: 'admin', body });
      await changeInstance(client, service, instance, { setting: 'admin', body });
      await waitAndPrint(context, service, instance, options.deadline);
    });
  program
    .command('ready')
    .description('end drain or maintenance of an instance')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb ready gs gs-1')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      const body = { state: 'ready' } as const;
      await putSetting(contextOf(command), service, instance, { setting: 'admin', body });
    });
  program
    .command('maint')
    .description('send no traffic to an instance; its sessions move to other instances')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb maint gs gs-1 --yes')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      await readInstance(await context.client(), service, instance);
      await context.confirm(`Stop all traffic to ${service}/${instance} now and move its sessions?`);
      await putSetting(context, service, instance, { setting: 'admin', body: { state: 'maint' } });
    });
  const weightCommand = program
    .command('weight')
    .description('set the weight of an instance, its relative share of the traffic (default 100)')
    .argument('<service>')
    .argument('<instance>')
    .argument('<weight>', 'from 1 to 256', parseWeightArgument)
    .addHelpText('after', '\nExample:\n  acgs-lb weight gs gs-2 50');
  weightCommand.action((service: string, instance: string, weight: number) =>
    putSetting(contextOf(weightCommand), service, instance, { setting: 'weight', body: { weight } }),
  );
}

async function putSetting(
  context: CommandContext,
  service: string,
  instance: string,
  setting: InstanceSetting,
): Promise<void> {
  const client = await context.client();
  context.print(
    await changeInstance(client, service, instance, setting),
    ({ state, reason, admin, weight }) =>
      `${service}/${instance}: ${context.terminal.paint(stateStyle(state), state)} (${reason}), admin ${admin}, weight ${weight}`,
  );
}

async function waitAndPrint(
  context: CommandContext,
  service: string,
  instance: string,
  deadline: string | undefined,
): Promise<void> {
  const client = await context.quietClient();
  const end = await context.progress((report) =>
    waitForDrain(
      {
        read: () => readInstance(client, service, instance),
        uncontrolled: () => whyUncontrolled(client),
        now: Date.now,
        sleep,
        report: (text) => report(`${service}/${instance}: ${text}`),
      },
      deadline === undefined ? null : parseDuration(deadline),
    ),
  );
  const drained = end.kind === 'drained';
  const inflight = end.kind === 'left' ? end.count : drained ? 0 : null;
  context.print({ service, instance, drained, inflight }, () => {
    const left = end.kind === 'left' ? ' at the deadline' : '';
    return `${service}/${instance}: ${drainText(end)}${left}`;
  });
  if (!drained) process.exitCode = EXIT_FAILED;
}

/** Draining the last serving instance is an outage for new sessions. */
async function confirmIfLast(context: CommandContext, service: string, instance: string): Promise<void> {
  const instances = await readInstances(await context.client(), service);
  if (isLastServing({ service, id: instance }, instances)) {
    await context.confirm(`${instance} is the last serving instance of ${service}. Drain it anyway?`);
  }
}

function parseDeadlineOption(text: string): string {
  if (parseDuration(text) === null)
    throw new CliUsageError(`--deadline: ${JSON.stringify(text)} is not a duration such as 30s, 5m or 1h`);
  return text;
}

function parseWeightArgument(text: string): number {
  try {
    return integerBetween(1, 256)(text);
  } catch {
    throw new CliUsageError(
      `weight: ${JSON.stringify(text)} is not a whole number from 1 to 256 (to stop traffic: acgs-lb drain or maint)`,
    );
  }
}
