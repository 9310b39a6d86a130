import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { parseOrigin } from '../../../shared/config/origin.ts';
import { id as siteId } from '../../../shared/config/scalars.ts';
import { errorMessage } from '../../../shared/error-message.ts';
import { errorWithCause } from '../../snapshot/publisher.ts';
import { helpWithoutParentOptions } from '../arguments.ts';
import { contextOf } from '../context.ts';
import { CliUsageError, CommandFailed } from '../errors.ts';

interface EdgeSitesOptions {
  edge: string;
}

/** The answer of the edge. */
interface ServedSites {
  seq: number;
  sites: string[];
}

const TIMEOUT_MS = 20_000;

export function registerEdgeSites(edge: Command): void {
  edge
    .command('sites')
    .description('tell the edge which sites it serves beside SITES, without a new deployment')
    .configureHelp(helpWithoutParentOptions(edge))
    .argument(
      '<file>',
      'file with one entry per line, as `acgs-lb keys public` prints them; # starts a comment',
    )
    .requiredOption('--edge <url>', 'the edge, such as https://api.example.com')
    .addHelpText(
      'after',
      `
The file is the whole list: a site that it does not name is no longer served.
The list is signed with SITE_DIRECTORY_SIGNING_KEY from the environment
(\`acgs-lb keys directory\`). Sites in the Worker's SITES keep their own keys.

Example:
  SITE_DIRECTORY_SIGNING_KEY=… acgs-lb edge sites sites.txt --edge https://api.example.com`,
    )
    .action(async (file: string, options: EdgeSitesOptions, command: Command) => {
      const origin = parseOrigin(options.edge);
      if (!origin) throw new CliUsageError(`--edge: ${options.edge} is not an http(s) origin`);
      const signingKey = process.env.SITE_DIRECTORY_SIGNING_KEY;
      if (!signingKey) throw new CliUsageError('set SITE_DIRECTORY_SIGNING_KEY in the environment');
      const entries = parseEntries(await readList(file), file);
      const served = await putDirectory(origin, await seal(entries, signingKey));
      contextOf(command).print(served, ({ sites }) => `the edge serves ${sites.join(', ')}`);
    });
}

async function readList(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (cause) {
    throw new CommandFailed(`${file}: ${errorMessage(cause)}`, { cause });
  }
}

function parseEntries(text: string, file: string): string[] {
  const lines = text.split('\n').map((line) =>
    line
      .replace(/#.*/, '')
      .trim()
      .replace(/^SNAPSHOT_PUBLIC_KEYS=/, ''),
  );
  const problems = lines.flatMap((entry, index) =>
    entry && !isEntry(entry) ? [`${file}:${index + 1}: ${entry}`] : [],
  );
  if (problems.length > 0) {
    throw new CliUsageError(
      `${problems.join('\n')}\nAn entry must be <site>:<key id>:<public key of 43 characters>.`,
    );
  }
  return lines.filter(Boolean);
}

function isEntry(entry: string): boolean {
  const [site, kid, key, ...rest] = entry.split(':');
  return rest.length === 0 && siteId.safeParse(site).success && Boolean(kid) && /^[\w-]{43}$/.test(key ?? '');
}

async function seal(entries: readonly string[], signingKey: string): Promise<Uint8Array<ArrayBuffer>> {
  const { importSigningKey } = await import('../../../shared/snapshot/keys.ts');
  const { signSiteDirectory } = await import('../../../shared/snapshot/site-directory.ts');
  const key = await importSigningKey(signingKey).catch((cause: unknown) => {
    throw new CliUsageError('SITE_DIRECTORY_SIGNING_KEY must be <kid>:<base64url pkcs8 Ed25519 key>', {
      cause,
    });
  });
  return signSiteDirectory({ v: 1, kind: 'site-directory', seq: Date.now(), entries }, key);
}

async function putDirectory(origin: string, body: Uint8Array<ArrayBuffer>): Promise<ServedSites> {
  const url = `${origin}/__acgs/sites`;
  let response: Response;
  try {
    response = await fetch(url, { method: 'PUT', body, signal: AbortSignal.timeout(TIMEOUT_MS) });
  } catch (cause) {
    throw new CommandFailed(`${url}: ${errorWithCause(cause)}`, { cause });
  }
  const answer = (await response.json().catch(() => ({}))) as Partial<ServedSites> & { detail?: string };
  if (!response.ok || !answer.sites) {
    throw new CommandFailed(`${url} answered ${response.status}: ${answer.detail ?? 'no details'}`);
  }
  return { seq: answer.seq ?? 0, sites: answer.sites };
}
