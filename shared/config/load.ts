import { isMap, isNode, isScalar, LineCounter, parseDocument } from 'yaml';
import { type Config, fillDefaults } from './config.ts';
import { crossCheck, type Problem } from './cross-check.ts';
import { fileSchema } from './schema.ts';

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
  const locate = (path: PropertyKey[]): string => {
    for (let depth = path.length; depth >= 0; depth--) {
      const offset = offsetOf(document, path.slice(0, depth));
      if (offset !== null) return place(offset);
    }
    return fileName;
  };
  const describe = ({ path, value, allowed }: Problem) =>
    `${locate(path)}: ${pathText(path)}: ${valueText(value)} is not allowed; expected ${allowed}`;

  const raw: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
  const parsed = fileSchema.safeParse(raw, { reportInput: true });
  if (!parsed.success) throw new ConfigError(parsed.error.issues.flatMap(toProblems).map(describe));
  const config = fillDefaults(parsed.data);
  const problems = crossCheck(config);
  if (problems.length > 0) throw new ConfigError(problems.map(describe));
  return deepFreeze(config);
}

/** Where a value stands in the text; for a key of a map, where the key stands. */
function offsetOf(document: ReturnType<typeof parseDocument>, path: PropertyKey[]): number | null {
  if (path.length === 0) return null;
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  const last = path.at(-1);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isScalar(item.key) && item.key.value === last);
    return pair && isNode(pair.key) ? (pair.key.range?.[0] ?? null) : null;
  }
  const node = document.getIn(path, true);
  return isNode(node) ? (node.range?.[0] ?? null) : null;
}

type Issue = NonNullable<ReturnType<typeof fileSchema.safeParse>['error']>['issues'][number];

function toProblems(issue: Issue): Problem[] {
  const path = issue.path as (string | number)[];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        value: key,
        allowed: `a key that is known in ${pathText(path)}`,
      }));
    case 'invalid_value':
      return [{ path, value: issue.input, allowed: issue.values.map(String).join(', ') }];
    case 'invalid_union': {
      const allowed = issue.errors.flat().map((inner) => toProblems(inner as Issue)[0]?.allowed);
      return [
        {
          path,
          value: issue.input,
          allowed: [...new Set(allowed)].filter(Boolean).join(', or ') || issue.message,
        },
      ];
    }
    case 'invalid_type':
      return [
        {
          path,
          value: issue.input,
          allowed: issue.message.startsWith('Invalid input') ? `${article(issue.expected)}` : issue.message,
        },
      ];
    case 'too_small':
      return [
        {
          path,
          value: issue.input,
          allowed: `at least ${issue.minimum}${issue.origin === 'array' ? ' item(s)' : ''}`,
        },
      ];
    case 'too_big':
      return [
        {
          path,
          value: issue.input,
          allowed: `at most ${issue.maximum}${issue.origin === 'array' ? ' item(s)' : ''}`,
        },
      ];
    case 'invalid_key':
      return [{ path, value: path.at(-1), allowed: issue.issues[0]?.message ?? issue.message }];
    default:
      return [{ path, value: issue.input, allowed: issue.message }];
  }
}

const article = (type: string) => (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`);

function pathText(path: PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text.replace(/^\./, '') || 'the file';
}

function valueText(value: unknown): string {
  if (value === undefined) return 'nothing';
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
