import type { Command } from 'commander';
import { parseDuration } from '../../../shared/config/scalars.ts';
import { instanceSchema } from '../../http/schemas.ts';
import { integerBetween } from '../arguments.ts';
import { contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { parseResponse } from '../response-schemas.ts';

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

/** register, deregister, heartbeat: instances that come and go at run time. */
export function registerRegistry(program: Command): void {
  program
    .command('register')
    .description('add an instance; it gets traffic once it has proved health')
    .argument('<service>')
    .requiredOption('--id <id>', 'its name, such as gs-3')
    .requiredOption('--url <url>', 'where it answers, such as http://10.0.0.7:8004')
    .option('--weight <n>', 'from 1 to 256', integerBetween(1, 256))
    .option('--priority <n>', '1 is first, 2 a backup', integerBetween(1, 16))
    .option('--public-url <url>', 'where the edge reaches it directly')
    .option('--ttl <duration>', 'it must send heartbeats within this time, or it is taken out')
    .option('--metadata <key=value>', 'may be given several times', pair)
    .addHelpText('after', '\nExample:\n  acgs-lb register gs --id gs-3 --url http://127.0.0.1:8024 --ttl 30s')
    .action(async (service: string, options: RegisterOptions, command: Command) => {
      const context = contextOf(command);
      if (options.ttl !== undefined && parseDuration(options.ttl) === null) {
        throw new CliUsageError(`--ttl: ${JSON.stringify(options.ttl)} is no duration such as 30s or 5m`);
      }
      const client = await context.client();
      const answer = await client.post(instancesPath(service), {
        id: options.id,
        url: options.url,
        ...(options.weight ? { weight: options.weight } : {}),
        ...(options.priority ? { priority: options.priority } : {}),
        ...(options.publicUrl ? { publicUrl: options.publicUrl } : {}),
        ...(options.ttl ? { ttl: options.ttl } : {}),
        ...(options.metadata ? { metadata: options.metadata } : {}),
      });
      const instance = parseResponse(instanceSchema, answer, 'instance');
      context.print(
        instance,
        () => `${service}/${instance.id} registered: ${instance.state} (${instance.reason})`,
      );
    });
  program
    .command('deregister')
    .description('forget an instance that was registered at run time')
    .argument('<service>')
    .argument('<instance>')
    .addHelpText('after', '\nExample:\n  acgs-lb deregister gs gs-3 --yes')
    .action(async (service: string, instance: string, _options: unknown, command: Command) => {
      const context = contextOf(command);
      await context.confirm(`Forget ${service}/${instance}? Its sessions move.`);
      await (await context.client()).delete(`${instancesPath(service)}/${encodeURIComponent(instance)}`);
      context.print({ service, instance, deregistered: true }, () => `${service}/${instance} is forgotten`);
    });
  program
    .command('heartbeat')
    .description('say that an instance registered with --ttl is still there')
    .argument('<service>')
    .argument('<instance>')
    .option('--every <duration>', 'again and again until Ctrl-C, such as 10s')
    .addHelpText('after', '\nExample:\n  acgs-lb heartbeat gs gs-3 --every 10s')
    .action(async (service: string, instance: string, options: { every?: string }, command: Command) => {
      const context = contextOf(command);
      const client = await context.client();
      const everyMs = options.every === undefined ? null : parseDuration(options.every);
      if (options.every !== undefined && (!everyMs || everyMs > DAY_MS)) {
        throw new CliUsageError(
          `--every: ${JSON.stringify(options.every)} is no duration such as 10s, at most 24h`,
        );
      }
      do {
        const answer = await client.put(
          `${instancesPath(service)}/${encodeURIComponent(instance)}/heartbeat`,
        );
        context.print(answer, () => `${service}/${instance} lives`);
        if (everyMs) await new Promise((resolve) => setTimeout(resolve, everyMs));
      } while (everyMs);
    });
}

function pair(text: string, before: Record<string, string> = {}): Record<string, string> {
  const [key, ...value] = text.split('=');
  if (!key || value.length === 0) throw new CliUsageError(`--metadata: ${text} is not key=value`);
  return { ...before, [key]: value.join('=') };
}
