import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { generateSiteSecrets } from '../../snapshot/signing-keys.ts';
import { writeSecrets } from '../site-secrets.ts';
import { StepFailed } from './step.ts';

const STEP = 'keys';
export const EDGE_SECRETS = ['COOKIE_KEYS', 'GATEWAY_JWT_KEY', 'EDGE_TOKEN'] as const;

export interface EdgeKeys {
  created: boolean;
  publicKeys: string;
  /** SITE_DIRECTORY_KEYS; null: edge.env does not set it. */
  directoryKeys: string | null;
  edgeToken: string;
  /** The secrets of the Worker. */
  secrets: Record<(typeof EDGE_SECRETS)[number], string>;
}

interface EdgeKeysOptions {
  folder: string;
  site: string;
  /** The Worker exists, so new keys would lock out the agents. */
  isDeployed: boolean;
}

/** Reads edge.env. For a new Worker without one, creates it together with agent.env. */
export async function edgeKeys({ folder, site, isDeployed }: EdgeKeysOptions): Promise<EdgeKeys> {
  const file = join(folder, 'edge.env');
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null;
    throw new StepFailed(STEP, `${file} cannot be read (${error.code})`, 'correct its owner or mode');
  });
  if (text !== null) return keysOf(parseEnv(text), file, false);
  if (isDeployed) {
    throw new StepFailed(
      STEP,
      `the Worker exists, and ${file} does not: new keys would lock out the agents`,
      'give the folder that holds the keys of this Worker (--keys)',
    );
  }
  const created = generateSiteSecrets(site, new Date());
  await writeSecrets(created, folder);
  return keysOf(created.edge, file, true);
}

function keysOf(variables: NodeJS.Dict<string>, file: string, created: boolean): EdgeKeys {
  const value = (name: string): string => {
    const found = variables[name];
    if (found) return found;
    throw new StepFailed(
      STEP,
      `${file}: ${name} is missing`,
      'run `acgs-lb keys new` for a complete example',
    );
  };
  return {
    created,
    publicKeys: value('SNAPSHOT_PUBLIC_KEYS'),
    directoryKeys: variables.SITE_DIRECTORY_KEYS ?? null,
    edgeToken: value('EDGE_TOKEN'),
    secrets: {
      COOKIE_KEYS: value('COOKIE_KEYS'),
      GATEWAY_JWT_KEY: value('GATEWAY_JWT_KEY'),
      EDGE_TOKEN: value('EDGE_TOKEN'),
    },
  };
}
