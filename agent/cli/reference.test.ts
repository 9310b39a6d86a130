import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { buildProgram } from './main.ts';
import { commandReference } from './reference.ts';

test('docs/cli.md tells of the commands as they are (else: node agent/cli/reference.ts)', () => {
  const written = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  expect(written).toBe(commandReference(buildProgram()));
});

test('every command has words and an example, or commands of its own', () => {
  for (const command of buildProgram().commands) {
    if (command.name() === 'help' || command.name().startsWith('_')) continue;
    expect(command.description(), command.name()).not.toBe('');
    let help = '';
    command.configureOutput({
      writeOut: (text) => {
        help += text;
      },
    });
    command.outputHelp();
    if (command.commands.length === 0) expect(help, command.name()).toMatch(/^Examples?\b/m);
  }
});
