import type { Command } from 'commander';
import { parseDuration } from '../../../shared/config/duration.ts';
import { integerBetween } from '../arguments.ts';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { readInstance } from '../instance-api.ts';

interface RegisterOptions {
  id: string;
  url: string;
  weight?: number;
  priority?: number;
  publicUrl?: string;
  ttl?: string;
  metadata?: Record<string, string>;
}

const DAY_MS = 86_400_000;
const instancesPath = (service: string): string => `/v1/services/${encodeURIComponent(service)}/instances`;

/** register, deregister, heartbeat: instances added at run time. */
export function registerRegistry(program: Command): void {
  registerRegister(program);
  registerDeregister(program);
  registerHeartbeat(program);
}

function registerRegister(program: Command): void {
  program
    .command('register')
    .description('add an instance at run time; it gets traffic when its probes pass')
    .argument('<service>')
    .requiredOption('--id <id>', 'id of the instance, for example gs-3')
    .requiredOption('--url <url>', 'address of the instance, for example http://10.0.0.7:8004')
    .option('--weight <n>', 'relative share of the traffic, from 1 to 256', integerBetween(1, 256))
    .option('--priority <n>', '1 is primary, 2 is the first backup', integerBetween(1, 16))
    .option('--public-url <url>', 'address at which the edge reaches it directly')
    .option(
      '--ttl <duration>',
      'maximum time between heartbeats; without one in time, the instance is deregistered',
    )
    .option('--metadata <key=value>', 'can be given several times', parseMetadataOption)
    .addHelpText('after', '\nExample:\n  acgs-lb register gs --id gs-3 --url http://127.0.0.1:8024 --ttl 30s')
    .action(async (service: string, options: RegisterOptions, command: Command) => {
      const context = contextOf(command);
      if (options.ttl !== undefined && parseDuration(options.ttl) === null) {
        throw new CliUsageError(`--ttl: ${JSON.stringify(options.ttl)} is not a duration such as 30s or 5m`);
      }
      const client = await context.client();
      const { id, url, weight, priority, publicUrl, ttl, metadata } = options;
      const body = { id, url, weight, priority, publicUrl, ttl, metadata };
      const instance = await client.post(instancesPath(service), 'instanceSchema', body);
      context.print(
        instance,
        () => `${service}/${instance.id} registered: ${instance.state} (${instance.reason})`,
      );
    });
}

function registerDeregister(program: Command): void {
  program
    .command('deregister')
    .description('remove an instance that was registered at run time')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb deregister gs gs-3 --yes')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      await readInstance(client, service, instance);
      await context.confirm(`Remove ${service}/${instance}? Its sessions move to other instances.`);
      const path = `${instancesPath(service)}/${encodeURIComponent(instance)}`;
      await client.send('DELETE', path);
      context.print({ service, instance, deregistered: true }, () => `${service}/${instance} removed`);
    });
}

function registerHeartbeat(program: Command): void {
  program
    .command('heartbeat')
    .description('send a heartbeat for an instance that was registered with --ttl')
    .argument('<service>')
    .argument('<instance>')
    .option('--every <duration>', 'repeat at this interval until Ctrl-C, for example 10s')
    .addHelpText('after', '\nExample:\n  acgs-lb heartbeat gs gs-3 --every 10s')
    .action(async (service: string, instance: string, options: { every?: string }, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      const everyMs = options.every === undefined ? null : parseDuration(options.every);
      if (options.every !== undefined && (!everyMs || everyMs > DAY_MS)) {
        throw new CliUsageError(
          `--every: ${JSON.stringify(options.every)} is not a duration such as 10s, at most 24h`,
        );
      }
      do {
        const path = `${instancesPath(service)}/${encodeURIComponent(instance)}/heartbeat`;
        context.print(await client.send('PUT', path), () => `${service}/${instance}: heartbeat sent`);
        if (everyMs) await new Promise((resolve) => setTimeout(resolve, everyMs));
      } while (everyMs);
    });
}

function parseMetadataOption(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [key, ...value] = text.split('=');
  if (!key || value.length === 0) throw new CliUsageError(`--metadata: ${text} is not key=value`);
  return { ...before, [key]: value.join('=') };
}
