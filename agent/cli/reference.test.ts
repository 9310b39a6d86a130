import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { buildProgram } from './main.ts';
import { commandReference, helpOf } from './reference.ts';

test('docs/cli.md is current (regenerate it with `node agent/cli/reference.ts`)', async () => {
  const written = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');
  expect(written).toBe(commandReference(await buildProgram()));
});

test('every command has a description and an example, or subcommands', async () => {
  for (const command of (await buildProgram()).commands) {
    if (command.name() === 'help' || command.name().startsWith('_')) continue;
    expect(command.description(), command.name()).not.toBe('');
    if (command.commands.length === 0) expect(helpOf(command), command.name()).toMatch(/^Examples?\b/m);
  }
});

test('each command alone is the same as among all', async () => {
  for (const command of (await buildProgram()).commands) {
    const name = command.name();
    if (name === 'help' || name.startsWith('_')) continue;
    const alone = (await buildProgram(['--json', '--state-dir', 'status', name])).commands;
    const found = alone.find((one) => one.name() === name);
    expect(found && helpOf(found), name).toBe(helpOf(command));
    if (name !== 'completion') expect(alone.length, name).toBeLessThan(7);
  }
});

test('help and unknown names list all commands, in one line each', async () => {
  const all = (await buildProgram()).commands.filter((one) => !one.name().startsWith('_')).length;
  for (const argv of [
    [],
    ['--help'],
    ['nope'],
    ['help', 'status'],
    ['--help', 'status'],
    ['--state-dir', 'x'],
  ])
    expect((await buildProgram(argv)).commands.length, argv.join(' ')).toBe(all);
  const help = helpOf(await buildProgram([]));
  const lines = help.slice(help.indexOf('See what happens:'), help.indexOf('The command finds')).split('\n');
  expect(lines.filter((line) => /^ {2}\S/.test(line))).toHaveLength(all);
  for (const line of lines) expect(line).toMatch(/^(?:| {2}[a-z]+ {2,}\S.*|[A-Z].*:)$/);
});
