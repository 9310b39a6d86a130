import { Argument, type Command } from 'commander';
import { id as siteId } from '../../../shared/config/scalars.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import type { RotationStep } from '../../snapshot/signing-keys.ts';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';
import { formatEnvironment, formatSecrets, writeSecrets } from '../site-secrets.ts';

export function registerKeys(program: Command): void {
  const keys = program
    .command('keys')
    .description('create and rotate the keys and secrets of agent and edge');
  registerNew(keys);
  registerRotate(keys);
  registerPublic(keys);
  registerDirectory(keys);
}

function registerNew(keys: Command): void {
  keys
    .command('new')
    .description(
      'create all secrets of a new site: the environment of its agents and the secrets of its edge',
    )
    .option('--site <id>', 'site id, as site.id in the configuration', 'main')
    .option(
      '--out <folder>',
      'write agent.env and edge.env into this folder (mode 0600) instead of printing them',
    )
    .addHelpText(
      'after',
      `
\`acgs-lb edge deploy --keys FOLDER\` deploys a Worker with the secrets of edge.env.

Example:
  acgs-lb keys new --site main --out /etc/acgs-lb`,
    )
    .action(async (options: { site: string; out?: string }, command: Command) => {
      requireSiteId(options.site);
      const { generateSiteSecrets } = await import('../../snapshot/signing-keys.ts');
      const secrets = generateSiteSecrets(options.site, new Date());
      const context = contextOf(command);
      if (!options.out) return context.print(secrets, formatSecrets);
      const files = await writeSecrets(secrets, options.out);
      context.print({ files }, () => files.map((file) => `wrote ${file}`).join('\n'));
    });
}

function registerRotate(keys: Command): void {
  keys
    .command('rotate')
    .description(
      'show the steps that replace a key without downtime; the current key is read from the environment',
    )
    .addArgument(
      new Argument(
        '<key>',
        'snapshot (SNAPSHOT_SIGNING_KEY), gateway (GATEWAY_JWT_KEY) or cookie (COOKIE_KEYS)',
      ).choices(['snapshot', 'gateway', 'cookie']),
    )
    .option('--site <id>', 'site id, as site.id in the configuration', 'main')
    .option('--ttl <duration>', 'longest affinity.ttl of the configuration', '1h')
    .addHelpText('after', '\nExample:\n  SNAPSHOT_SIGNING_KEY=… acgs-lb keys rotate snapshot --site main')
    .action(async (key: string, options: { site: string; ttl: string }, command: Command) => {
      const context = contextOf(command);
      const steps = await rotation(key, options);
      context.print(steps, (all) =>
        all
          .map(({ where, variable, value, afterwards }, index) => {
            const title = context.terminal.paint('bold', `${index + 1}. On the ${where}: ${variable}`);
            return `${title}\n   ${value}\n   ${context.terminal.paint('dim', `then ${afterwards}`)}`;
          })
          .join('\n\n'),
      );
    });
}

function registerPublic(keys: Command): void {
  keys
    .command('public')
    .description('show the public keys of SNAPSHOT_SIGNING_KEY and GATEWAY_JWT_KEY from the environment')
    .option('--site <id>', 'site id, as site.id in the configuration', 'main')
    .action(async (options: { site: string }, command: Command) => {
      const { gatewayPublicKey, snapshotPublicKey } = await import('../../snapshot/signing-keys.ts');
      const { SNAPSHOT_SIGNING_KEY, GATEWAY_JWT_KEY } = process.env;
      if (!SNAPSHOT_SIGNING_KEY && !GATEWAY_JWT_KEY) {
        throw new CliUsageError('set SNAPSHOT_SIGNING_KEY or GATEWAY_JWT_KEY in the environment');
      }
      const publicKeys = orCommandFailed(() => ({
        ...(SNAPSHOT_SIGNING_KEY
          ? { SNAPSHOT_PUBLIC_KEYS: snapshotPublicKey(options.site, SNAPSHOT_SIGNING_KEY) }
          : {}),
        ...(GATEWAY_JWT_KEY ? { EDGE_JWT_PUBLIC_KEYS: gatewayPublicKey(GATEWAY_JWT_KEY) } : {}),
      }));
      contextOf(command).print(publicKeys, formatEnvironment);
    });
}

function registerDirectory(keys: Command): void {
  keys
    .command('directory')
    .description('create a key for the site directory, which adds sites to the edge without a new deployment')
    .addHelpText(
      'after',
      `
Put SITE_DIRECTORY_KEYS into edge.env and deploy the edge once. Keep
SITE_DIRECTORY_SIGNING_KEY away from all agents: \`acgs-lb edge sites\` needs it.

Example:
  acgs-lb keys directory`,
    )
    .action(async (_options: unknown, command: Command) => {
      const { generateDirectoryKey } = await import('../../snapshot/signing-keys.ts');
      contextOf(command).print(generateDirectoryKey(new Date()), formatEnvironment);
    });
}

async function rotation(key: string, { site, ttl }: { site: string; ttl: string }): Promise<RotationStep[]> {
  requireSiteId(site);
  const { rotateCookieKey, rotateGatewayKey, rotateSnapshotKey } = await import(
    '../../snapshot/signing-keys.ts'
  );
  const currentKey = (variable: string): string => {
    const value = process.env[variable];
    if (!value)
      throw new CliUsageError(`${variable} is not set; the key to replace is read from the environment`);
    return value;
  };
  return orCommandFailed(() => {
    switch (key) {
      case 'snapshot':
        return rotateSnapshotKey(site, currentKey('SNAPSHOT_SIGNING_KEY'), new Date());
      case 'gateway':
        return rotateGatewayKey(currentKey('GATEWAY_JWT_KEY'), new Date());
      case 'cookie':
        return rotateCookieKey(currentKey('COOKIE_KEYS'), ttl, new Date());
      default:
        throw new CliUsageError(`unknown key ${key}; expected snapshot, gateway or cookie`);
    }
  });
}

/** Every public key contains the site id. */
function requireSiteId(site: string): void {
  const parsed = siteId.safeParse(site);
  if (!parsed.success)
    throw new CliUsageError(`--site: ${site} is not a site id; expected ${parsed.error.issues[0]?.message}`);
}

/** Turns the error of an unreadable key into CommandFailed. */
function orCommandFailed<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof CliUsageError) throw error;
    throw new CommandFailed(errorMessage(error), { cause: error });
  }
}
