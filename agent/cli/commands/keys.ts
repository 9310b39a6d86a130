import { mkdir, writeFile } from 'node:fs/promises';
import { Argument, type Command } from 'commander';
import { id as siteId } from '../../../shared/config/scalars.ts';
import type { RotationStep, SiteSecrets } from '../../snapshot/signing-keys.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

/** keys: everything secret that agent and edge need, made here and nowhere else. */
export function registerKeys(program: Command): void {
  const keys = program.command('keys').description('make and rotate the keys and secrets of agent and edge');
  keys
    .command('new')
    .description('all secrets of a new site: the environment of its agents, and the secrets of its edge')
    .option('--site <id>', 'site.id of the configuration', 'main')
    .option('--out <folder>', 'write agent.env and edge.env there (mode 0600) instead of printing them')
    .addHelpText(
      'after',
      '\nExample:\n  acgs-lb keys new --site main --out /etc/acgs-lb\n  wrangler secret put COOKIE_KEYS    # likewise GATEWAY_JWT_KEY and EDGE_TOKEN; SNAPSHOT_PUBLIC_KEYS is public: wrangler.toml',
    )
    .action(async (options: { site: string; out?: string }, command: Command) => {
      siteOf(options.site);
      const { generateSiteSecrets } = await import('../../snapshot/signing-keys.ts');
      const secrets = generateSiteSecrets(options.site, new Date());
      const context = contextOf(command);
      if (options.out) await writeSecrets(context, secrets, options.out);
      else context.print(secrets, printed);
    });
  keys
    .command('rotate')
    .description(
      'the steps that change a key while everything runs; the present key is read from the environment',
    )
    .addArgument(
      new Argument(
        '<key>',
        'snapshot (SNAPSHOT_SIGNING_KEY), gateway (GATEWAY_JWT_KEY) or cookie (COOKIE_KEYS)',
      ).choices(['snapshot', 'gateway', 'cookie']),
    )
    .option('--site <id>', 'site.id of the configuration', 'main')
    .option('--ttl <duration>', 'the longest affinity.ttl in use', '1h')
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
  keys
    .command('public')
    .description('the public halves of SNAPSHOT_SIGNING_KEY and GATEWAY_JWT_KEY in the environment')
    .option('--site <id>', 'site.id of the configuration', 'main')
    .action(async (options: { site: string }, command: Command) => {
      const { gatewayPublicKey, snapshotPublicKey } = await import('../../snapshot/signing-keys.ts');
      const { SNAPSHOT_SIGNING_KEY, GATEWAY_JWT_KEY } = process.env;
      if (!SNAPSHOT_SIGNING_KEY && !GATEWAY_JWT_KEY) {
        throw new CliUsageError('neither SNAPSHOT_SIGNING_KEY nor GATEWAY_JWT_KEY is set in the environment');
      }
      const found = failing(() => ({
        ...(SNAPSHOT_SIGNING_KEY
          ? { SNAPSHOT_PUBLIC_KEYS: snapshotPublicKey(options.site, SNAPSHOT_SIGNING_KEY) }
          : {}),
        ...(GATEWAY_JWT_KEY ? { EDGE_JWT_PUBLIC_KEYS: gatewayPublicKey(GATEWAY_JWT_KEY) } : {}),
      }));
      contextOf(command).print(found, environment);
    });
}

async function rotation(key: string, { site, ttl }: { site: string; ttl: string }): Promise<RotationStep[]> {
  siteOf(site);
  const { rotateCookieKey, rotateGatewayKey, rotateSnapshotKey } = await import(
    '../../snapshot/signing-keys.ts'
  );
  const present = (variable: string): string => {
    const value = process.env[variable];
    if (!value)
      throw new CliUsageError(`${variable} is not set: the key to be replaced is read from the environment`);
    return value;
  };
  return failing(() => {
    switch (key) {
      case 'snapshot':
        return rotateSnapshotKey(site, present('SNAPSHOT_SIGNING_KEY'), new Date());
      case 'gateway':
        return rotateGatewayKey(present('GATEWAY_JWT_KEY'), new Date());
      case 'cookie':
        return rotateCookieKey(present('COOKIE_KEYS'), ttl, new Date());
      default:
        throw new CliUsageError(`${key} is no key; expected snapshot, gateway or cookie`);
    }
  });
}

/** As site.id of a configuration may be; it stands in every public key. */
function siteOf(site: string): void {
  const parsed = siteId.safeParse(site);
  if (!parsed.success)
    throw new CliUsageError(`--site: ${site} is no site.id; expected ${parsed.error.issues[0]?.message}`);
}

/** A key that cannot be read is a person's mistake, not ours. */
function failing<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof CliUsageError) throw error;
    throw new CommandFailed(error instanceof Error ? error.message : String(error), { cause: error });
  }
}

const environment = (variables: Record<string, string | undefined>): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

const AGENT_HEAD = '# The agents of the site: /etc/acgs-lb/agent.env, mode 0600';
const EDGE_HEAD =
  '# The edge: wrangler secret put (the public keys: wrangler.toml), or the environment of acgs-lb edge';

const printed = ({ agent, edge }: SiteSecrets): string =>
  `${AGENT_HEAD}\n${environment(agent)}\n\n${EDGE_HEAD}\n${environment(edge)}`;

async function writeSecrets(
  context: CommandContext,
  { agent, edge }: SiteSecrets,
  folder: string,
): Promise<void> {
  const files = [`${folder}/agent.env`, `${folder}/edge.env`] as const;
  const texts = [`${AGENT_HEAD}\n${environment(agent)}\n`, `${EDGE_HEAD}\n${environment(edge)}\n`];
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch((cause: Error) => {
    throw new CommandFailed(cause.message, { cause });
  });
  for (const [index, file] of files.entries()) {
    try {
      // `wx`: keys that are in use are never written over.
      await writeFile(file, texts[index] ?? '', { mode: 0o600, flag: 'wx' });
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      throw new CommandFailed(code === 'EEXIST' ? `${file} is there already; it was left alone` : message, {
        cause,
      });
    }
  }
  context.print({ files }, () => files.map((file) => `wrote ${file}`).join('\n'));
}
