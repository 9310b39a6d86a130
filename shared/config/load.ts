import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { type Config, fillDefaults } from './config.ts';
import { crossCheck } from './cross-check.ts';
import { findDuplicates } from './duplicates.ts';
import { type ConfigProblem, formatConfigPath, valueAt } from './problem.ts';
import { salvage } from './salvage.ts';
import { fileSchema } from './schema.ts';
import { schemaProblems } from './schema-problems.ts';

/** The file cannot be used. `message` holds every mistake, one a line, each located. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/** Parses, defaults, cross-checks and freezes the text of acgs-lb.yaml. Throws ConfigError with all mistakes at once. */
export function parseConfig(text: string, fileName = 'acgs-lb.yaml'): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${fileName}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new ConfigError(document.errors.map((error) => `${place(error.pos[0])}: ${error.message}`));
  }
  const raw: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
  const parsed = fileSchema.safeParse(raw, { reportInput: true });
  const problems = parsed.success
    ? [...findDuplicates(raw), ...asWritten(crossCheck(fillDefaults(parsed.data), raw), raw)]
    : [...parsed.error.issues.flatMap(schemaProblems), ...findDuplicates(raw), ...salvagedProblems(raw)];
  if (parsed.success && problems.length === 0) return deepFreeze(fillDefaults(parsed.data));
  const located = problems.map((problem) => ({ ...problem, offset: offsetOf(document, problem.path) }));
  located.sort((a, b) => a.offset - b.offset);
  const describe = ({ path, value, allowed, offset }: ConfigProblem & { offset: number }) =>
    `${place(offset)}: ${formatConfigPath(path)}: ${value === undefined ? 'missing' : `${valueText(value)} is not allowed`}; expected ${allowed}`;
  throw new ConfigError(located.map(describe));
}

/** A file with bad values is cross-checked all the same, without them: all mistakes show at once. */
function salvagedProblems(raw: unknown): ConfigProblem[] {
  const saved = salvage(raw);
  if (!saved) return [];
  const problems = crossCheck(fillDefaults(saved.file), raw);
  const placed = problems.map((problem) => ({ ...problem, path: saved.original(problem.path) }));
  return asWritten(placed, raw);
}

/** Values as they stand in the text; those that come from defaults stand nowhere and stay as they are. */
function asWritten(problems: ConfigProblem[], raw: unknown): ConfigProblem[] {
  return problems.map((problem) => ({ ...problem, value: valueAt(raw, problem.path) ?? problem.value }));
}

/** Where a value stands in the text; for a key of a map, where the key stands; for what is missing, its parent. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: PropertyKey[]): number {
  for (let depth = path.length; depth > 0; depth--) {
    const offset = exactOffset(document, path.slice(0, depth));
    if (offset !== null) return offset;
  }
  return 0;
}

function exactOffset(document: ReturnType<typeof parseDocument>, path: PropertyKey[]): number | null {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === last);
    return pair && isNode(pair.key) ? (pair.key.range?.[0] ?? null) : null;
  }
  const node = document.getIn(path, true);
  return isNode(node) ? (node.range?.[0] ?? null) : null;
}

function valueText(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
