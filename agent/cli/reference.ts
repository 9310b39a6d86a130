import { writeFileSync } from 'node:fs';
import type { Command } from 'commander';
import { buildProgram } from './main.ts';

/** docs/cli.md, made from the commands themselves. */
export function commandReference(program: Command): string {
  const commands = program.commands.filter((command) => !isHidden(command) && command.name() !== 'help');
  return [
    `# The command \`acgs-lb\`

<!-- Made from the commands by \`node agent/cli/reference.ts\`; a test holds it to them. -->

In a checkout it is \`npx acgs-lb\`. It finds a running stack through \`--state-dir\` or \`ACGS_STATE_DIR\` (default
\`.acgs/\`), an agent elsewhere through \`ACGS_AGENT_URL\` and \`ACGS_TOKEN\`. Every command takes \`--json\` (data instead of
words) and \`--help\`; what hurts asks first, and \`--yes\` answers. Exit codes: 0 done, 1 failed, 2 misuse or invalid
configuration, 130 ended by Ctrl-C. Colours and progress only on a terminal; no colours with \`NO_COLOR\`.
\`source <(acgs-lb completion bash)\` completes commands, options, and the services and instances that run.
`,
    `| command | what it does |\n|---|---|\n${commands.map((command) => `| [\`${command.name()}\`](#${command.name()}) | ${cell(command.description())} |`).join('\n')}\n`,
    ...commands.map((command) => section(command, 2)),
  ].join('\n');
}

/** Commander tells it to nobody but its own help. */
const isHidden = (command: Command): boolean => command.name().startsWith('_');

function section(command: Command, depth: number): string {
  const inner = command.commands.filter((candidate) => candidate.name() !== 'help');
  const name = fullName(command);
  const rows = [
    ...command.registeredArguments
      .filter((argument) => argument.description)
      .map((argument) => `| \`<${argument.name()}>\` | ${cell(argument.description)} |`),
    ...command.options.map(
      (option) => `| \`${option.flags}\` | ${cell(option.description)}${defaultOf(option.defaultValue)} |`,
    ),
  ];
  return [
    `${'#'.repeat(depth)} ${name.replace(/^acgs-lb /, '')}\n`,
    `${capital(command.description())}.\n`,
    ...(inner.length === 0
      ? [
          `\`\`\`\n${name} ${command.usage().replace('[options] ', rows.length > 0 ? '[options] ' : '')}\n\`\`\`\n`,
        ]
      : []),
    ...(rows.length > 0 ? [`| option | |\n|---|---|\n${rows.join('\n')}\n`] : []),
    ...inner.map((candidate) => section(candidate, depth + 1)),
  ].join('\n');
}

function fullName(command: Command): string {
  return command.parent ? `${fullName(command.parent)} ${command.name()}` : command.name();
}

const cell = (text: string): string =>
  text
    .replaceAll('|', '\\|')
    .replaceAll('<', '&lt;')
    .replace(/`([^`]*)`/g, (whole) => whole.replaceAll('&lt;', '<'));
const capital = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);

function defaultOf(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? ` (default: \`${value}\`)` : '';
}

if (import.meta.main) {
  writeFileSync(new URL('../../docs/cli.md', import.meta.url), commandReference(buildProgram()));
}
