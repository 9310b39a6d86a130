/** One line for the person at the terminal. A closed pipe is no reason to end the stack. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.stdout.on('error', () => undefined);
process.stderr.on('error', () => undefined);
