import { mkdir, writeFile } from 'node:fs/promises';
import { Argument, type Command } from 'commander';
import { id as siteId } from '../../../shared/config/scalars.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import type { RotationStep, SiteSecrets } from '../../snapshot/signing-keys.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

export function registerKeys(program: Command): void {
  const keys = program
    .command('keys')
    .description('create and rotate the keys and secrets of agent and edge');
  registerNew(keys);
  registerRotate(keys);
  registerPublic(keys);
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
Set COOKIE_KEYS, GATEWAY_JWT_KEY and EDGE_TOKEN with \`wrangler secret put\`. Put
SNAPSHOT_PUBLIC_KEYS into wrangler.toml.

Example:
  acgs-lb keys new --site main --out /etc/acgs-lb
  wrangler secret put COOKIE_KEYS`,
    )
    .action(async (options: { site: string; out?: string }, command: Command) => {
      requireSiteId(options.site);
      const { generateSiteSecrets } = await import('../../snapshot/signing-keys.ts');
      const secrets = generateSiteSecrets(options.site, new Date());
      const context = contextOf(command);
      if (options.out) await writeSecrets(context, secrets, options.out);
      else context.print(secrets, formatSecrets);
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

const formatEnvironment = (variables: Record<string, string | undefined>): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

const AGENT_HEAD = '# Agents of the site: /etc/acgs-lb/agent.env, mode 0600';
const EDGE_HEAD =
  '# Edge: set with `wrangler secret put` (public keys: wrangler.toml), or in the environment of acgs-lb edge';

const formatSecrets = ({ agent, edge }: SiteSecrets): string =>
  `${AGENT_HEAD}\n${formatEnvironment(agent)}\n\n${EDGE_HEAD}\n${formatEnvironment(edge)}`;

async function writeSecrets(
  context: CommandContext,
  { agent, edge }: SiteSecrets,
  folder: string,
): Promise<void> {
  const files = [`${folder}/agent.env`, `${folder}/edge.env`] as const;
  const texts = [
    `${AGENT_HEAD}\n${formatEnvironment(agent)}\n`,
    `${EDGE_HEAD}\n${formatEnvironment(edge)}\n`,
  ];
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: Error) => {
    throw new CommandFailed(cause.message, { cause });
  });
  for (const [index, file] of files.entries()) {
    try {
      // `wx` never overwrites keys that are in use.
      await writeFile(file, texts[index] ?? '', { mode: 0o600, flag: 'wx' });
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new CommandFailed(code === 'EEXIST' ? `${file} exists already; it was not changed` : message, {
        cause,
      });
    }
  }
  context.print({ files }, () => files.map((file) => `wrote ${file}`).join('\n'));
}
