import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Command } from 'commander';
import { type Answers, type ApiClient, parseAnswer } from '../client.ts';
import { CONFIG_DESCRIPTION, CONFIG_OPTION, resolveConfigPath } from '../config-path.ts';
import { type CommandContext, contextOf } from '../context.ts';
import { CliUsageError } from '../errors.ts';
import { wrapText } from '../terminal.ts';

interface ApplyCommandOptions {
  config?: string;
  dryRun?: boolean;
  rollback?: boolean;
}

type ConfigChanges = Answers['configChangesSchema'];
/** Sends the configuration; `query` is `?dryRun=true` or empty. */
type SendConfig = (query: string) => Promise<ConfigChanges>;

export function registerApply(program: Command): void {
  program
    .command('apply')
    .description('apply a configuration to the running agent: show the changes, ask, then apply')
    .option(CONFIG_OPTION, CONFIG_DESCRIPTION)
    .option('--dry-run', 'only show the changes')
    .option('--rollback', 'go back to the previous configuration; the agent keeps the last five')
    .addHelpText(
      'after',
      '\nThe local stack (`npm start`) gets the file with its own ports and sockets, as at its start.\n\n' +
        'Examples:\n  acgs-lb apply --dry-run\n  acgs-lb apply --config acgs-lb.yaml --yes\n  acgs-lb apply --rollback',
    )
    .action(async (options: ApplyCommandOptions, command: Command) => {
      const context = contextOf(command);
      if (options.rollback && options.config !== undefined) {
        throw new CliUsageError(
          '--rollback takes the configuration that the agent keeps; leave --config away',
        );
      }
      const client = await context.client();
      if (options.rollback) {
        const send = (query: string) => sendRequest(client, 'POST', `/v1/config/rollback${query}`);
        return applyAfterPreview(context, send, { ...options, question: 'Go back to it?' });
      }
      const { text, notes } = await readConfig(context, resolveConfigPath(options.config));
      const send = (query: string) => sendRequest(client, 'PUT', `/v1/config${query}`, text);
      return applyAfterPreview(context, send, { ...options, question: 'Apply?', notes });
    });
}

async function sendRequest(
  client: ApiClient,
  method: string,
  path: string,
  text?: string,
): Promise<ConfigChanges> {
  const body = text !== undefined && { body: text, headers: { 'content-type': 'application/yaml' } };
  const response = await client.open(path, { method, ...body });
  const value: unknown = JSON.parse(await response.text());
  return parseAnswer('configChangesSchema', value, { request: `${method} ${path}`, response });
}

async function applyAfterPreview(
  context: CommandContext,
  send: SendConfig,
  { dryRun, question, notes = [] }: { dryRun?: boolean; question: string; notes?: readonly string[] },
): Promise<void> {
  const { terminal, json } = context;
  const preview = await send('?dryRun=true');
  const lines = preview.changes.map((change) => `  ${wrapText(change, 4, terminal)}`);
  const list = [lines.length > 0 ? `changes\n${lines.join('\n')}` : 'no changes', ...notes].join('\n');
  if (dryRun || lines.length === 0) {
    context.print(preview, () => list);
    return;
  }
  if (!json) terminal.write(list);
  await context.confirm(question);
  context.print(await send(''), ({ saved, note, restart = [] }) =>
    [
      `applied${saved ? ' and saved' : ''}`,
      ...(restart.length > 0 ? [`restart the agent for ${restart.join(', ')}`] : []),
      ...(note ? [note] : []),
    ].join('; '),
  );
}

/**
 * The file's text for the agent. A local stack gets it with its own ports and sockets: with the file's own, it could no
 * longer be reached. Throws CliUsageError when the file is invalid.
 */
async function readConfig(
  context: CommandContext,
  file: string,
): Promise<{ text: string; notes: readonly string[] }> {
  const { loadConfigFile } = await import('../config-file.ts');
  const config = await loadConfigFile(file);
  const text = await readFile(file, 'utf8');
  const stack = await context.localStack();
  if (!stack) return { text, notes: [] };
  if (!stack.derivation) {
    throw new CliUsageError(
      'this stack was started by an earlier version and does not say how it derived its ports: restart it with `npm start`',
    );
  }
  // The stack's own file is derived already.
  if (dirname(config.haproxy.socket) === stack.derivation.runFolder) return { text, notes: [] };
  const [{ deriveConfig }, { ConfigError }] = await Promise.all([
    import('../local-stack.ts'),
    import('../../../shared/config/load.ts'),
  ]);
  try {
    const derived = deriveConfig(text, config, stack.derivation);
    const { notApplied } = derived;
    const { portOffset } = stack.derivation;
    const notes = [
      ...(portOffset > 0 ? [`ports are moved by ${portOffset}, the --port-offset of the local stack`] : []),
      ...(notApplied.length > 0 ? [`not applied to the local stack: ${notApplied.join(', ')}`] : []),
    ];
    return { text: derived.text, notes };
  } catch (error) {
    if (error instanceof ConfigError) throw new CliUsageError(error.message, { cause: error });
    throw error;
  }
}
