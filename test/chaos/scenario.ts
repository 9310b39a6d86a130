/** One demonstration under load: what it found, for a person, and whether everything held. */
export interface ScenarioOutcome {
  lines: string[];
  broken: string[];
}

/** What the command line may change. */
export interface ScenarioOptions {
  /** Milliseconds a simulated user waits between an answer and its next request. */
  think: () => number;
  /** How that is told. */
  thinkText: string;
}

export interface Scenario {
  name: string;
  description: string;
  run(options: ScenarioOptions): Promise<ScenarioOutcome>;
}

/** Collects findings and checks in the order they are made. */
export class ScenarioFindings {
  readonly lines: string[] = [];
  readonly broken: string[] = [];

  note(line: string): void {
    this.lines.push(line);
  }

  check(holds: boolean, claim: string): void {
    this.lines.push(`${holds ? 'ok    ' : 'BROKEN'} ${claim}`);
    if (!holds) this.broken.push(claim);
  }

  get outcome(): ScenarioOutcome {
    return { lines: this.lines, broken: this.broken };
  }
}
