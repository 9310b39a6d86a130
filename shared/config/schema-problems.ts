import { type ConfigProblem, formatConfigPath } from './problem.ts';
import type { fileSchema } from './schema.ts';

type SchemaIssue = NonNullable<ReturnType<typeof fileSchema.safeParse>['error']>['issues'][number];

/** Turns a Zod issue into problems, one for each wrong value. */
export function schemaProblems(issue: SchemaIssue): ConfigProblem[] {
  const path = issue.path as (string | number)[];
  const at = (allowed: string): ConfigProblem[] => [{ path, value: issue.input, allowed }];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        path: [...path, key],
        value: key,
        allowed: `a known key of ${formatConfigPath(path)}`,
      }));
    case 'invalid_value':
      return at(issue.values.map(String).join(', '));
    case 'invalid_union': {
      const allowed = issue.errors.flat().map((inner) => schemaProblems(inner as SchemaIssue)[0]?.allowed);
      return at([...new Set(allowed)].filter(Boolean).join(', or ') || issue.message);
    }
    case 'invalid_type':
      return at(issue.message.startsWith('Invalid input') ? article(issue.expected) : issue.message);
    case 'too_small':
      return at(`at least ${issue.minimum}${unit(issue.origin)}`);
    case 'too_big':
      return at(`at most ${issue.maximum}${unit(issue.origin)}`);
    case 'invalid_key':
      return [{ path, value: path.at(-1), allowed: issue.issues[0]?.message ?? issue.message }];
    default:
      return at(issue.message);
  }
}

const TYPES: Record<string, string> = {
  object: 'a map',
  record: 'a map',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
  int: 'a whole number',
};

const article = (type: string): string => TYPES[type] ?? (/^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`);

function unit(origin: string): string {
  if (origin === 'array') return ' item(s)';
  return origin === 'string' ? ' character(s)' : '';
}
