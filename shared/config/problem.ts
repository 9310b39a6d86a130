/** An error in the file: the path of the value, the value, and what the path may hold. */
export interface ConfigProblem {
  path: (string | number)[];
  /** Undefined when the value is missing. */
  value: unknown;
  allowed: string;
}

export function formatConfigPath(path: readonly PropertyKey[]): string {
  const text = path.map((part) => (typeof part === 'number' ? `[${part}]` : `.${String(part)}`)).join('');
  return text.replace(/^\./, '') || 'the file';
}

/** A value as JSON for an error message, cut off after 80 characters. */
export function valueText(value: unknown): string {
  const isData = typeof value !== 'number' || Number.isFinite(value);
  const text = (isData ? JSON.stringify(value) : undefined) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

/** The value at a path of plain data; undefined when there is none. */
export function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  let value = data;
  for (const part of path) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}
