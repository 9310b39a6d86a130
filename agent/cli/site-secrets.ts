import { mkdir, writeFile } from 'node:fs/promises';
import type { SiteSecrets } from '../snapshot/signing-keys.ts';
import { CommandFailed } from './errors.ts';

/** The files `agent.env` and `edge.env` with the secrets of a site. */

const AGENT_HEAD = '# Agents of the site: /etc/acgs-lb/agent.env, mode 0600';
const EDGE_HEAD =
  '# Edge: `acgs-lb edge deploy` sets them on Cloudflare; for `acgs-lb edge`, /etc/acgs-lb/edge.env, mode 0600';

export const formatEnvironment = (variables: Record<string, string | undefined>): string =>
  Object.entries(variables)
    .map(([name, value]) => `${name}=${value}`)
    .join('\n');

export const formatSecrets = ({ agent, edge }: SiteSecrets): string =>
  `${AGENT_HEAD}\n${formatEnvironment(agent)}\n\n${EDGE_HEAD}\n${formatEnvironment(edge)}`;

/** Writes both files (mode 0600) and returns their paths. Throws CommandFailed when one exists. */
export async function writeSecrets({ agent, edge }: SiteSecrets, folder: string): Promise<string[]> {
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
  return [...files];
}
