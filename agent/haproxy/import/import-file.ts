import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { configInstances } from '../render/input.ts';
import { HaproxyConfigError, HaproxyNotInstalled, validateHaproxyConfig } from '../render/install.ts';
import { type ImportOptions, type Proposal, proposeConfig } from './proposal.ts';

export interface CheckedProposal extends Proposal {
  /** What HAProxy says about the proposal; null: accepted; undefined: HAProxy is not installed here. */
  haproxyError: string | null | undefined;
}

/** Each round removes the lines that HAProxy rejects. HAProxy names many of them at once. */
const MAX_ROUNDS = 12;

/** Proposes a configuration and checks it with HAProxy. Leaves out lines whose keyword HAProxy no longer knows. */
export async function importConfig(
  text: string,
  options: Omit<ImportOptions, 'rejected'>,
): Promise<CheckedProposal> {
  const rejected = new Map<number, string>();
  for (let round = 1; ; round++) {
    const proposal = proposeConfig(text, { ...options, rejected });
    const error = await checkProposal(proposal, options.fileName);
    const more =
      error === null || error === undefined
        ? new Map<number, string>()
        : rejectedLines(error, proposal, rejected);
    if (more.size === 0 || round === MAX_ROUNDS) return { ...proposal, haproxyError: error };
    for (const [line, why] of more) rejected.set(line, why);
  }
}

/** With mode `beside`, checks both files together. Null: accepted; undefined: not checked. */
async function checkProposal(
  { config, ownFile }: Proposal,
  fileName: string,
): Promise<string | null | undefined> {
  if (!config) return undefined;
  const folder = await mkdtemp(join(tmpdir(), 'acgs-im-'));
  const mainFile = join(folder, 'own.cfg');
  const checked = { ...config, haproxy: { ...config.haproxy, mainFile } };
  try {
    await writeFile(mainFile, ownFile ?? '', { mode: 0o600 });
    await validateHaproxyConfig({
      config: checked,
      instances: configInstances(checked),
      secrets: { statsUser: 'admin', statsPassword: 'admin', edgePublicKeys: '' },
    });
    return null;
  } catch (error) {
    if (error instanceof HaproxyNotInstalled) return undefined;
    if (error instanceof HaproxyConfigError) return error.message.replaceAll(mainFile, fileName);
    throw error;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const PLACE = /haproxy\.(extra\.[^\s,\]]+), line (\d+)\] ?: (.*)$/gm;
const UNKNOWN =
  /unknown keyword|no longer supported|not supported|has been removed|was removed|is deprecated|unknown option/i;

/** The lines of the operator's file whose keyword HAProxy does not know. */
function rejectedLines(
  error: string,
  proposal: Proposal,
  known: ReadonlyMap<number, string>,
): Map<number, string> {
  const lines = new Map<number, string>();
  for (const [, key = '', index = '', message = ''] of error.matchAll(PLACE)) {
    if (!UNKNOWN.test(message)) continue;
    const line = proposal.sourceLine(['haproxy', ...key.split('.')], Number(index) - 1);
    if (line !== null && !known.has(line)) lines.set(line, `HAProxy rejects it: ${message.trim()}`);
  }
  return lines;
}
