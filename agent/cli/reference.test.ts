import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { buildProgram } from './main.ts';
import { commandReference, helpOf } from './reference.ts';

test('docs/cli.md is current (regenerate it with `node agent/cli/reference.ts`)', () => {
  const written = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  expect(written).toBe(commandReference(buildProgram()));
});

test('every command has a description and an example, or subcommands', () => {
  for (const command of buildProgram().commands) {
    if (command.name() === 'help' || command.name().startsWith('_')) continue;
    expect(command.description(), command.name()).not.toBe('');
    if (command.commands.length === 0) expect(helpOf(command), command.name()).toMatch(/^Examples?\b/m);
  }
});
