import type { Command } from 'commander';
import { parseDuration } from '../../../shared/config/scalars.ts';
import { isLastServing } from '../../../shared/serving.ts';
import { instanceListSchema, instanceSchema } from '../../http/schemas.ts';
import { integerBetween } from '../arguments.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { stateStyle } from '../format.ts';

const instancesPath = (service: string): string => `/v1/services/${encodeURIComponent(service)}/instances`;

/** drain, ready, maint, weight: the operator's settings of one instance. */
export function registerInstanceAdmin(program: Command): void {
  program
    .command('drain')
    .description('send no new sessions to an instance; existing sessions stay')
    .argument('<service>')
    .argument('<instance>')
    .option(
      '--deadline <duration>',
      'switch to maintenance after this time, for example 5m',
      parseDeadlineOption,
    )
    .addHelpText('after', '\nExample:\n  acgs-lb drain gs gs-1 --deadline 5m')
    .action(async (service: string, instance: string, options: { deadline?: string }, command: Command) => {
      const context = contextOf(command);
      await confirmIfLast(context, service, instance);
      await putSetting(context, service, instance, {
        setting: 'admin',
        body: { state: 'drain', deadline: options.deadline },
      });
    });
  program
    .command('ready')
    .description('end drain or maintenance of an instance')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb ready gs gs-1')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      const body = { state: 'ready' };
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
  { setting, body }: { setting: 'admin' | 'weight'; body: object },
): Promise<void> {
  const client = await context.client();
  const path = `${instancesPath(service)}/${encodeURIComponent(instance)}/${setting}`;
  context.print(
    await client.put(path, instanceSchema, body),
    ({ state, reason, admin, weight }) =>
      `${service}/${instance}: ${context.terminal.paint(stateStyle(state), state)} (${reason}), admin ${admin}, weight ${weight}`,
  );
}

/** Draining the last serving instance is an outage for new sessions. */
async function confirmIfLast(context: CommandContext, service: string, instance: string): Promise<void> {
  const client = await context.client();
  const { instances } = await client.get(instancesPath(service), instanceListSchema);
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
