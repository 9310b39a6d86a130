/** One demonstration under load: what it found, for a person, and whether everything held. */
export interface Outcome {
  lines: string[];
  broken: string[];
}

/** What the command line may change. */
export interface Options {
  /** Milliseconds a simulated user waits between an answer and its next request. */
  think: () => number;
  /** How that is told. */
  thinkText: string;
}

export interface Scenario {
  name: string;
  what: string;
  run(options: Options): Promise<Outcome>;
}

/** Collects findings and checks in the order they are made. */
export class Findings {
  readonly lines: string[] = [];
  readonly broken: string[] = [];

  say(line: string): void {
    this.lines.push(line);
  }

  check(holds: boolean, claim: string): void {
    this.lines.push(`${holds ? 'ok    ' : 'BROKEN'} ${claim}`);
    if (!holds) this.broken.push(claim);
  }

  get outcome(): Outcome {
    return { lines: this.lines, broken: this.broken };
  }
}
