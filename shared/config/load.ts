import { type Config, fillDefaults } from './config.ts';
import { crossCheck } from './cross-check.ts';
import { findDuplicates } from './duplicates.ts';
import { type ConfigProblem, formatConfigPath, valueAt, valueText } from './problem.ts';
import { SECRET_FORM } from './scalars.ts';
import { type ConfigFile, fileSchema } from './schema.ts';
import { schemaProblems } from './schema-problems.ts';
import { rememberSnippetLines } from './snippet-lines.ts';
import { readYaml } from './yaml-data.ts';

/** The file is invalid. `message` lists all errors, one per line, each with its line and column. */
export class ConfigError extends Error {
  override name = 'ConfigError';
  readonly problems: string[];

  constructor(problems: string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

/**
 * Parses the text of acgs-lb.yaml, fills in defaults, cross-checks and freezes the result.
 * Throws a ConfigError that reports all errors at once.
 */
export function parseConfig(text: string, fileName = 'acgs-lb.yaml'): Config {
  const yaml = readYaml(text);
  const located = (offset: number, message: string): string =>
    `${fileName}:${yaml.positionOf(offset)}: ${message}`;
  if (yaml.errors.length > 0) {
    throw new ConfigError(listed(yaml.errors, ({ offset, message }) => located(offset, message)));
  }
  const { config, problems } = checkData(yaml.data ?? {});
  if (config) {
    rememberSnippetLines(config.haproxy.extra, {
      fileName,
      text,
      lineOf: (path) => Number(yaml.positionOf(yaml.offsetOf(path)).split(':')[0]),
    });
    return deepFreeze(config);
  }
  const sorted = problems
    .map((problem) => ({ problem, offset: yaml.offsetOf(problem.path) }))
    .sort((a, b) => a.offset - b.offset);
  throw new ConfigError(listed(sorted, ({ problem, offset }) => located(offset, describe(problem))));
}

/** A file of the wrong kind has an error in every line. */
const MAX_LISTED = 1_000;

/** Describes the first errors, and counts the others. */
function listed<T>(errors: readonly T[], text: (error: T) => string): string[] {
  const more = errors.length - MAX_LISTED;
  return [...errors.slice(0, MAX_LISTED).map(text), ...(more > 0 ? [`and ${more} more errors`] : [])];
}

function checkData(raw: unknown): { config: Config | null; problems: ConfigProblem[] } {
  const parsed = checkSchema(raw);
  if (parsed === null) return { config: null, problems: [{ path: [], value: raw, allowed: FEWER_ERRORS }] };
  const schemaErrors = parsed.success ? [] : parsed.error.issues.flatMap(schemaProblems);
  const file = parsed.success ? parsed.data : validPart(raw);
  const config = file && fillDefaults(file);
  // Values as they are in the text. A default is not in the text and stays as it is.
  const crossErrors = (config ? crossCheck(config, raw) : []).map((problem) => ({
    ...problem,
    value: valueAt(raw, problem.path) ?? problem.value,
  }));
  const problems = [...schemaErrors, ...findDuplicates(raw), ...crossErrors];
  return { config: problems.length > 0 ? null : config, problems };
}

const FEWER_ERRORS = 'fewer than 100,000 wrong values';

/** Null when there are too many errors: Zod passes them as the arguments of one call, and these are on the stack. */
function checkSchema(raw: unknown) {
  try {
    return fileSchema.safeParse(raw, { reportInput: true });
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** Placeholders for keys that every file needs. */
const REQUIRED = { version: 1, site: { id: 'unknown' }, services: { unknown: { routes: ['/'] } } };

/**
 * A file with schema errors, less the values that have them, so that the rest can be cross-checked. An error inside a list
 * removes the whole list: the indexes of the others must not change. Null when nothing valid is left.
 */
function validPart(raw: unknown): ConfigFile | null {
  if (typeof raw !== 'object' || raw === null) return null;
  const data: unknown = { ...REQUIRED, ...structuredClone(raw) };
  // Each round may remove the parent of what the round before removed.
  for (let round = 0; round < 12; round++) {
    const parsed = fileSchema.safeParse(data);
    if (parsed.success) return parsed.data;
    for (const { path } of parsed.error.issues.flatMap(schemaProblems)) remove(data, path);
    Object.assign(data as object, { ...REQUIRED, ...(data as object) });
  }
  return null;
}

/** Removes the value at `path`, or its nearest ancestor when the value is missing or inside a list. */
function remove(data: unknown, path: ConfigProblem['path']): void {
  const listIndex = path.findIndex((part) => typeof part === 'number');
  for (let depth = listIndex < 0 ? path.length : listIndex; depth > 0; depth--) {
    const key = path[depth - 1] ?? '';
    const parent = valueAt(data, path.slice(0, depth - 1));
    if (typeof parent !== 'object' || parent === null || !(key in parent)) continue;
    delete (parent as Record<PropertyKey, unknown>)[key];
    return;
  }
}

function describe({ path, value, allowed }: ConfigProblem): string {
  if (allowed === SECRET_FORM && value !== undefined) {
    return `${formatConfigPath(path)}: the value (hidden) is not allowed; expected ${allowed}`;
  }
  const found = value === undefined ? 'missing' : `${valueText(value)} is not allowed`;
  return `${formatConfigPath(path)}: ${found}; expected ${allowed}`;
}

function deepFreeze<T>(value: T): T {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const inner of Object.values(value)) deepFreeze(inner);
  }
  return value;
}
