import type { z } from 'zod';

type ZodIssue = z.core.$ZodIssue;

/** Says what is wrong with one value of a request, for a caller who does not know the schema. */
export function describeIssue(issue: ZodIssue): string {
  switch (issue.code) {
    case 'invalid_value':
      return `must be ${issue.values.length > 1 ? 'one of ' : ''}${issue.values.map(String).join(', ')}`;
    case 'invalid_type':
      if (!issue.message.startsWith('Invalid input')) return issue.message;
      return issue.message.endsWith('received undefined')
        ? 'is missing'
        : `must be ${TYPE_NAMES[issue.expected] ?? `a ${issue.expected}`}`;
    case 'invalid_union':
      return [...new Set(issue.errors.flat().map(describeIssue))].join(', or ') || issue.message;
    case 'invalid_format':
      return describeFormat(issue);
    case 'too_small':
      return issue.origin === 'string' && issue.minimum === 1
        ? 'must not be empty'
        : `must be at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `must be at most ${issue.maximum}${unitOf(issue.origin)}`;
    case 'unrecognized_keys':
      return `unknown field ${issue.keys.join(', ')}`;
    case 'invalid_key':
      return issue.issues[0] ? `has a key that ${describeIssue(issue.issues[0])}` : issue.message;
    default:
      return issue.message;
  }
}

const TYPE_NAMES: Record<string, string> = {
  object: 'an object',
  record: 'an object',
  array: 'a list',
  string: 'text',
  boolean: 'true or false',
  int: 'a whole number',
};

const FORMAT_NAMES: Record<string, string> = { ipv4: 'an IPv4 address', ipv6: 'an IPv6 address' };

function describeFormat(issue: Extract<ZodIssue, { code: 'invalid_format' }>): string {
  // A message of the schema's own describes its pattern.
  if (!issue.message.startsWith('Invalid')) return issue.message;
  if (issue.format === 'starts_with' && 'prefix' in issue) return `must begin with ${String(issue.prefix)}`;
  return `must be ${FORMAT_NAMES[issue.format] ?? `a valid ${issue.format}`}`;
}

function unitOf(origin: string): string {
  if (origin === 'array') return ' items';
  return origin === 'string' ? ' characters' : '';
}
