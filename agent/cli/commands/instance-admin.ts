import type { Command } from 'commander';
import { parseDuration } from '../../../shared/config/scalars.ts';
import { instanceSchema } from '../../http/schemas.ts';
import { integerBetween } from '../arguments.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { stateStyle } from '../format.ts';
import { parseResponse } from '../response-schemas.ts';

const pathOf = (service: string, instance: string): string =>
  `/v1/services/${encodeURIComponent(service)}/instances/${encodeURIComponent(instance)}`;

/** drain, ready, maint, weight: what an operator asks of one instance. */
export function registerInstanceAdmin(program: Command): void {
  program
    .command('drain')
    .description('no new sessions for an instance; those it has stay')
    .argument('<service>')
    .argument('<instance>')
    .option('--deadline <duration>', 'maintenance after this long, such as 5m', durationText)
    .addHelpText('after', '\nExample:\n  acgs-lb drain gs gs-1 --deadline 5m')
    .action(async (service: string, instance: string, options: { deadline?: string }, command: Command) => {
      const context = contextOf(command);
      await warnIfLast(context, service, instance, 'drain');
      await put(context, service, instance, 'admin', {
        state: 'drain',
        ...(options.deadline ? { deadline: options.deadline } : {}),
      });
    });
  program
    .command('ready')
    .description('take an instance back after drain or maint')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb ready gs gs-1')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      await put(contextOf(command), service, instance, 'admin', { state: 'ready' });
    });
  program
    .command('maint')
    .description('no traffic at all for an instance, its sessions move')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb maint gs gs-1 --yes')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      await context.confirm(`Take all traffic and sessions from ${service}/${instance} now?`);
      await put(context, service, instance, 'admin', { state: 'maint' });
    });
  program
    .command('weight')
    .description('how much of the traffic an instance gets, from 1 to 256 (100 is the default)')
    .argument('<service>')
    .argument('<instance>')
    .argument('<weight>', 'from 1 to 256', weightOf)
    .addHelpText('after', '\nExample:\n  acgs-lb weight gs gs-2 50')
    .action(
      async (service: string, instance: string, weight: number, _options: unknown, command: Command) => {
        await put(contextOf(command), service, instance, 'weight', { weight });
      },
    );
}

async function put(
  context: CommandContext,
  service: string,
  instance: string,
  what: 'admin' | 'weight',
  body: unknown,
): Promise<void> {
  const client = await context.client();
  const answer = parseResponse(
    instanceSchema,
    await client.put(`${pathOf(service, instance)}/${what}`, body),
    'instance',
  );
  context.print(answer, ({ state, reason, admin, weight }) => {
    const shown = context.terminal.paint(stateStyle(state), state);
    return `${service}/${instance}: ${shown} (${reason}), admin ${admin}, weight ${weight}`;
  });
}

/** Draining the only instance that takes new sessions is an outage for new ones: ask first. */
async function warnIfLast(
  context: CommandContext,
  service: string,
  instance: string,
  verb: string,
): Promise<void> {
  const client = await context.client();
  const list = await client.get(`/v1/services/${encodeURIComponent(service)}/instances`);
  const instances = (list as { instances?: { id: string; state: string }[] } | null)?.instances ?? [];
  const others = instances.filter(
    (other) => other.id !== instance && ['up', 'probation'].includes(other.state),
  );
  if (others.length === 0) {
    await context.confirm(`No other instance of ${service} takes traffic; ${verb} ${instance} all the same?`);
  }
}

function durationText(text: string): string {
  if (parseDuration(text) === null)
    throw new CliUsageError(`--deadline: ${JSON.stringify(text)} is no duration such as 30s, 5m or 1h`);
  return text;
}

function weightOf(text: string): number {
  try {
    return integerBetween(1, 256)(text);
  } catch {
    throw new CliUsageError(
      `weight: ${JSON.stringify(text)} is not a whole number from 1 to 256 (to stop traffic: acgs-lb drain or maint)`,
    );
  }
}
