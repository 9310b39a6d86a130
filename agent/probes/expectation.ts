import type { HealthCheck } from '../../shared/config/config.ts';

type Expectation = HealthCheck['expect'];

export const needsBody = (expect: Expectation): boolean =>
  expect.body !== undefined || expect.json !== undefined;

/** Why a status is not the expected one, or null. */
export function checkStatus(expect: Expectation, status: number): string | null {
  if (expect.status.some(([from, to]) => status >= from && status <= to)) return null;
  const wanted = expect.status.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(', ');
  return `status ${status}, expected ${wanted}`;
}

/** Why a body is not the expected one, or null. */
export function checkBody(expect: Expectation, body: string): string | null {
  if (expect.body !== undefined && !body.includes(expect.body))
    return `body does not contain "${clip(expect.body)}"`;
  if (!expect.json) return null;
  let document: unknown;
  try {
    document = JSON.parse(body);
  } catch {
    return 'body is not JSON';
  }
  const value = valueAt(document, expect.json.path);
  if (value === expect.json.equals) return null;
  return `${expect.json.path} is ${clip(JSON.stringify(value) ?? 'missing')}, expected ${JSON.stringify(expect.json.equals)}`;
}

/** The value at a path of names and indexes, such as `status`, `checks.db.ok`, or `$.list[0].state`. */
export function valueAt(document: unknown, path: string): unknown {
  const parts = path.replace(/^\$\.?/, '').match(/[^.[\]]+/g) ?? [];
  let value = document;
  for (const part of parts) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, part)) return undefined;
    value = Reflect.get(value, part);
  }
  return value;
}

const clip = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);
