/** Result of a scenario: report lines, and the failed checks. */
export interface ScenarioOutcome {
  lines: string[];
  broken: string[];
}

/** Options of the command line. */
export interface ScenarioOptions {
  /** Milliseconds between a response and the next request of a simulated user. */
  think: () => number;
  /** Description of `think` for the report. */
  thinkText: string;
}

export interface Scenario {
  name: string;
  description: string;
  run(options: ScenarioOptions): Promise<ScenarioOutcome>;
}

/** Collects notes and checks in order. */
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
