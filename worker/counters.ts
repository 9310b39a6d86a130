import type { CompiledPolicy } from '../shared/limits/policy.ts';

/** What this isolate has seen since its last report. */
export class Counters {
  readonly isolate: string;

  constructor(isolate: string) {
    this.isolate = isolate;
  }

  limited(_service: string, _policy: CompiledPolicy, _allowed: boolean): void {}
}
