import { isIP } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import type { Config } from '../../../shared/config/config.ts';
import { parseOrigin } from '../../../shared/config/origin.ts';
import { helpWithoutParentOptions } from '../arguments.ts';
import type { CloudflareApi } from '../cloudflare/api.ts';
import type { EdgeDeployment } from '../cloudflare/deployment.ts';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

interface EdgeDeployOptions {
  config?: string;
  host?: string;
  account?: string;
  zone?: string;
  gateway?: string;
  keys: string;
  name: string;
  route?: true;
  whenLimited: 'open' | 'closed';
  vpcService?: string;
}

/** Length of the longest step name. */
const NAME_COLUMNS = 'host name'.length;

export function registerEdgeDeploy(edge: Command, programDir: () => string): void {
  edge
    .command('deploy')
    .description('deploy the edge to Cloudflare, on a host name of your own domain')
    .configureHelp(helpWithoutParentOptions(edge))
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .option('--host <name>', 'host name of the edge (default: that of edge.url)')
    .option('--account <id>', 'account id (default: CLOUDFLARE_ACCOUNT_ID, else the only one of the token)')
    .option('--zone <name>', 'zone of the host name (default: the one that contains it)')
    .option(
      '--gateway <url>',
      'gateway while there is no snapshot, FALLBACK_ORIGIN (default: the first of site.gateways)',
    )
    .option('--keys <folder>', 'folder of edge.env and agent.env; created for a new Worker', 'acgs-keys')
    .option('--name <worker>', 'name of the Worker', 'acgs-lb-edge')
    .option('--route', 'a route in front of an existing proxied DNS record, instead of a custom domain')
    .addOption(
      new Option(
        '--when-limited <mode>',
        "past the account's daily limit: open (to the origin) or closed (error)",
      )
        .choices(['open', 'closed'])
        .default('closed'),
    )
    .option('--vpc-service <id>', 'Workers VPC service of the gateways, for gateways in a private network')
    .addHelpText(
      'after',
      `
CLOUDFLARE_API_TOKEN holds an API token with these permissions:
Account: Workers Scripts Edit, Workers KV Storage Edit;
Zone: Workers Routes Edit, Zone Read, DNS Read.
You may run the command again: it keeps keys, KV namespace, variables and sites,
and takes no host name from another Worker or DNS record.

Example:
  CLOUDFLARE_API_TOKEN=… acgs-lb edge deploy --host api.example.com \\
    --gateway https://gateway.example.com --keys ~/acgs-keys`,
    )
    .action((options: EdgeDeployOptions, command: Command) => run(options, contextOf(command), programDir()));
}

/** Shows each step as soon as it is done. */
async function run(options: EdgeDeployOptions, context: CommandContext, programDir: string): Promise<void> {
  const token = process.env.CLOUDFLARE_API_TOKEN;
  if (!token) throw new CliUsageError('set CLOUDFLARE_API_TOKEN in the environment (see --help)');
  const { cloudflareApiUrl, createCloudflareApi } = await import('../cloudflare/api.ts');
  const api = createCloudflareApi({ token, baseUrl: cloudflareApiUrl(process.env), fetch: globalThis.fetch });
  const deployment = await resolveDeployment(options, context, api);
  const { deployEdge } = await import('../cloudflare/deploy.ts');
  const { findingText } = await import('../doctor/findings-text.ts');
  const { json, terminal } = context;
  const findings = await context.progress((report) =>
    deployEdge(deployment, {
      api,
      env: process.env,
      programDir,
      fetch: globalThis.fetch,
      wait,
      report,
      onFinding: (finding) => {
        if (!json) terminal.write(findingText(finding, NAME_COLUMNS, terminal));
      },
    }),
  );
  const failed = findings.some(({ state }) => state === 'fail');
  if (failed) process.exitCode = 1;
  if (json) context.print(findings, () => '');
  else if (!failed) terminal.write(`\n${nextSteps(deployment)}`);
}

/** Missing options come from the configuration, the token, or a question on the terminal. */
async function resolveDeployment(
  options: EdgeDeployOptions,
  context: CommandContext,
  api: CloudflareApi,
): Promise<EdgeDeployment> {
  const { loadConfigFile } = await import('../config-file.ts');
  const config = await loadConfigFile(resolveConfigPath(options.config));
  const attachment = options.route ? 'route' : 'domain';
  refuseOpenConflicts(options, config);
  const host = requireHost(
    options.host ??
      hostOfEdge(config) ??
      (await context.ask(
        'Host name of the edge, such as api.example.com',
        '--host is missing, and edge.url is not set',
      )),
  );
  const gateway = requireGateway(
    options.gateway ?? config.site.gateways[0] ?? '',
    options.vpcService !== undefined,
  );
  return {
    accountId: await resolveAccount(options.account ?? process.env.CLOUDFLARE_ACCOUNT_ID, context, api),
    zoneName: options.zone ?? null,
    host,
    site: config.site.id,
    gateway,
    worker: requireWorkerName(options.name),
    keysFolder: options.keys,
    attachment,
    whenLimited: options.whenLimited,
    vpcService: options.vpcService ?? null,
  };
}

function refuseOpenConflicts({ whenLimited, route }: EdgeDeployOptions, config: Config): void {
  if (whenLimited !== 'open') return;
  if (!route)
    throw new CliUsageError(
      '--when-limited open needs --route: a custom domain has no origin to fall back to',
    );
  if (config.haproxy.requireEdge)
    throw new CliUsageError(
      '--when-limited open has no effect with haproxy.requireEdge: true: HAProxy rejects requests that bypass the edge',
    );
}

/** Null when edge.url is not set or names a trial address. */
function hostOfEdge({ edge }: Config): string | null {
  if (!edge.url) return null;
  const { hostname } = new URL(edge.url);
  const isTrial = hostname.endsWith('.workers.dev') || hostname === 'localhost' || isIP(hostname) !== 0;
  return isTrial ? null : hostname;
}

function requireHost(text: string): string {
  const host = text.toLowerCase();
  if (/^(?=.{4,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$/.test(host)) {
    if (host.endsWith('.workers.dev'))
      throw new CliUsageError(
        `--host: ${host} is for trials (\`npm run deploy\`); give a name of your own domain`,
      );
    return host;
  }
  throw new CliUsageError(`--host: ${text} is not a host name such as api.example.com`);
}

/** Cloudflare fetches host names only. A private network may use addresses. */
function requireGateway(text: string, isPrivate: boolean): string {
  const origin = parseOrigin(text);
  if (!origin)
    throw new CliUsageError(`--gateway: ${text} is not an origin such as https://gateway.example.com`);
  const { hostname } = new URL(origin);
  if (isPrivate || (isIP(hostname.replace(/^\[|\]$/g, '')) === 0 && hostname !== 'localhost')) return origin;
  throw new CliUsageError(
    `--gateway: Cloudflare cannot reach ${origin}: set site.gateways to a URL with a public host name, or give --vpc-service`,
  );
}

function requireWorkerName(name: string): string {
  if (/^[a-z0-9](?:[a-z0-9-]{0,52}[a-z0-9])?$/.test(name)) return name;
  throw new CliUsageError(`--name: ${name} is not a Worker name: 1 to 54 of a-z, 0-9 and -`);
}

async function resolveAccount(
  given: string | undefined,
  context: CommandContext,
  api: CloudflareApi,
): Promise<string> {
  if (given === undefined) return chooseAccount(context, api);
  if (/^[0-9a-f]{32}$/.test(given)) return given;
  throw new CliUsageError(`--account: ${given} is not an account id of 32 hexadecimal digits`);
}

async function chooseAccount(context: CommandContext, api: CloudflareApi): Promise<string> {
  const { listAccounts } = await import('../cloudflare/account.ts');
  const { CloudflareError } = await import('../cloudflare/api.ts');
  const { adviceFor } = await import('../cloudflare/step.ts');
  const accounts = await listAccounts(api).catch((error: unknown) => {
    if (!(error instanceof CloudflareError)) throw error;
    throw new CommandFailed(`${error.message}\n→ ${adviceFor(error)}`, { cause: error });
  });
  const [first] = accounts;
  if (first && accounts.length === 1) return first.id;
  const names = accounts.map(({ id, name }) => `${id} (${name})`).join(', ');
  const missing = first
    ? `--account is missing; the token sees ${names}`
    : '--account is missing, and the token sees no account';
  return resolveAccount(await context.ask(`Account id, one of ${names}`, missing), context, api);
}

const nextSteps = ({ host, keysFolder }: EdgeDeployment): string =>
  `Next, on the hosts:
  1. Set edge.url: https://${host} in acgs-lb.yaml.
  2. Add the variables of ${keysFolder}/agent.env to /etc/acgs-lb/agent.env, if they are new.
  3. systemctl restart acgs-lb-agent, then acgs-lb doctor.`;
