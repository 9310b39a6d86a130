import type { HealthCheck } from '../../shared/config/config.ts';

type Expect = HealthCheck['expect'];

export const needsBody = (expect: Expect): boolean => expect.body !== undefined || expect.json !== undefined;

/** What is wrong with an answer, or null when it is as expected. */
export function checkStatus(expect: Expect, status: number): string | null {
  if (expect.status.some(([from, to]) => status >= from && status <= to)) return null;
  const wanted = expect.status.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(', ');
  return `status ${status}, expected ${wanted}`;
}

export function checkBody(expect: Expect, body: string): string | null {
  if (expect.body !== undefined && !body.includes(expect.body)) return `body lacks "${clip(expect.body)}"`;
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

/** `status`, `checks.db.ok`, `$.list[0].state`: names and indexes, nothing more. */
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
