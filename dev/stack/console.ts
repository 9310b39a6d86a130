/** Prints one line. A closed pipe must not end the stack. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
