import { readFileSync } from 'node:fs';
import { type Profiler, Session } from 'node:inspector';
import { fileURLToPath } from 'node:url';

/** Which bytes of which functions have run, as V8 counts it in this thread. No code is instrumented. */
export interface CoverageCounter {
  /** Whether code ran since the last call that `takeNew` has not counted yet. */
  hasNew(): boolean;
  /** Counts what ran since the last call: the number of source bytes that had never run before. */
  takeNew(): number;
  /** Forgets what ran. */
  reset(): void;
  /** All source bytes that have run. */
  covered(): number;
  /** Words in the code that has run: a parser compares its input with them. */
  words(): string[];
  stop(): void;
}

/** The project's code, and the libraries that it parses with. */
const COUNTED = /\/(?:shared|worker|agent)\/|\/node_modules\/(?:yaml|ipaddr\.js)\//;
const OWN = /\/(?:shared|worker|agent)\/[^?]*\.ts$/;
const LITERAL = /'([^'\\\n]{1,40})'|"([^"\\\n]{1,40})"/g;

export function startCoverage(): CoverageCounter {
  const session = new Session();
  session.connect();
  /** Per function, one byte for each byte of its source. A function inside another one counts by itself. */
  const functions = new Map<string, Uint8Array>();
  const urls = new Map<string, string>();
  let total = 0;
  let scripts: Profiler.ScriptCoverage[] = [];
  const take = (): void => {
    // The callback of a session in the same thread runs before `post` returns.
    session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error) throw error;
      scripts = result;
    });
  };
  session.post('Profiler.enable');
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });

  /** The number of bytes of a function that are new. With `keep`, they are counted from now on. */
  function newBytes(scriptId: string, { ranges }: Profiler.FunctionCoverage, keep: boolean): number {
    const [whole] = ranges;
    if (!whole || whole.count === 0) return 0;
    const ran = new Uint8Array(whole.endOffset - whole.startOffset);
    // Outer ranges come before inner ones.
    for (const { startOffset, endOffset, count } of ranges) {
      ran.fill(Math.sign(count), startOffset - whole.startOffset, endOffset - whole.startOffset);
    }
    const key = `${scriptId}:${whole.startOffset}:${whole.endOffset}`;
    const known = functions.get(key);
    const added = ran.reduce((sum, byte, at) => (byte > (known?.[at] ?? 0) ? sum + 1 : sum), 0);
    if (keep && added > 0) functions.set(key, known ? known.map((byte, at) => byte | (ran[at] ?? 0)) : ran);
    return added;
  }

  function countNew(keep: boolean): number {
    take();
    let added = 0;
    for (const { scriptId, url, functions: found } of scripts) {
      if (!COUNTED.test(url)) continue;
      urls.set(scriptId, url);
      for (const one of found) added += newBytes(scriptId, one, keep);
    }
    if (keep) total += added;
    return added;
  }

  return {
    hasNew: () => countNew(false) > 0,
    takeNew: () => countNew(true),
    reset() {
      take();
      functions.clear();
      total = 0;
    },
    covered: () => total,
    words: () => wordsOf([...urls.values()]),
    stop: () => session.disconnect(),
  };
}

function wordsOf(urls: readonly string[]): string[] {
  const words = urls
    .filter((url) => OWN.test(url))
    .flatMap((url) => [...readFileSync(fileURLToPath(url), 'utf8').matchAll(LITERAL)])
    .map(([, single, double]) => single ?? double ?? '');
  return [...new Set(words)].filter((word) => !/^\.{1,2}\/|\s\S+\s/.test(word));
}
