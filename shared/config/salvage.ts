import type { ConfigProblem } from './problem.ts';
import { type ConfigFile, fileSchema } from './schema.ts';
import { schemaProblems } from './schema-problems.ts';

/** What the schema accepts of a file it refuses, so that the rest can be held against each other all the same. */
export interface Salvage {
  file: ConfigFile;
  /** The same place in the original: list items that were left out shift those behind them. */
  original(path: ConfigProblem['path']): ConfigProblem['path'];
}

/** Stand-ins for what no file can do without; nothing is reported about them. */
const NEEDED = { version: 1, site: { id: 'unknown' }, services: { unknown: { routes: ['/'] } } };

const MISSING = Symbol('left out');

/** Leaves out every value the schema names; a map that cannot do without it goes too. Null when nothing is left. */
export function salvage(raw: unknown): Salvage | null {
  let data = structuredClone(raw);
  for (let round = 0; round < 12; round++) {
    const kept = compact(data);
    const parsed = fileSchema.safeParse(withNeeded(kept.value), { reportInput: true });
    if (parsed.success) return { file: parsed.data, original: kept.original };
    const paths = parsed.error.issues.flatMap(schemaProblems).map(({ path }) => kept.original(path));
    // Longest first: a child is left out before its parent is judged.
    for (const path of paths.sort((a, b) => b.length - a.length)) data = leaveOut(data, path);
  }
  return null;
}

function withNeeded(value: unknown): unknown {
  return typeof value === 'object' && value !== null ? { ...NEEDED, ...value } : NEEDED;
}

/** Marks the value at the path; when it is missing already, marks its parent, which cannot be without it. */
function leaveOut(data: unknown, path: ConfigProblem['path']): unknown {
  const [first, ...rest] = path;
  if (first === undefined || typeof data !== 'object' || data === null) return MISSING;
  const holder = data as Record<PropertyKey, unknown>;
  if (!(first in holder) || holder[first] === MISSING) return MISSING;
  const next = rest.length === 0 ? MISSING : leaveOut(holder[first], rest);
  holder[first] = next;
  return data;
}

interface Compact {
  value: unknown;
  original(path: ConfigProblem['path']): ConfigProblem['path'];
}

/** The data without what is marked. */
function compact(data: unknown): Compact {
  if (Array.isArray(data)) {
    const kept = data.flatMap((item, index) => (item === MISSING ? [] : [{ index, ...compact(item) }]));
    return {
      value: kept.map(({ value }) => value),
      original: ([first, ...rest]) => {
        const item = typeof first === 'number' ? kept[first] : undefined;
        return first === undefined ? [] : item ? [item.index, ...item.original(rest)] : [first, ...rest];
      },
    };
  }
  if (typeof data === 'object' && data !== null) {
    const entries = Object.entries(data).filter(([, value]) => value !== MISSING);
    const kept = new Map(entries.map(([key, value]) => [key, compact(value)]));
    return {
      value: Object.fromEntries([...kept].map(([key, { value }]) => [key, value])),
      original: ([first, ...rest]) =>
        first === undefined ? [] : [first, ...(kept.get(String(first))?.original(rest) ?? rest)],
    };
  }
  return { value: data === MISSING ? undefined : data, original: (path) => path };
}
