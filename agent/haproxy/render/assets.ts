import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The folder of the template and the error pages: in the root of a checkout, or beside the bundle when deployed. */
function folder(): string {
  const candidates = ['../../../haproxy', './haproxy', '../haproxy'].map(
    (path) => new URL(path, import.meta.url).pathname,
  );
  const found = candidates.find((path) => existsSync(join(path, 'haproxy.cfg.eta')));
  if (!found) throw new Error(`haproxy/haproxy.cfg.eta is missing; looked in ${candidates.join(', ')}`);
  return found;
}

export const shippedTemplate = (): string => readFileSync(join(folder(), 'haproxy.cfg.eta'), 'utf8');

/** Removes the fields that Connection lists. */
export const shippedLua = (): string => readFileSync(join(folder(), 'hop-by-hop.lua.eta'), 'utf8');

/** Bodies of error responses by status, in HAProxy's log format: it fills in the request id. */
export function shippedErrorPages(): { status: number; content: string }[] {
  const errors = join(folder(), 'errors');
  return readdirSync(errors)
    .filter((name) => /^\d{3}\.json$/.test(name))
    .sort()
    .map((name) => ({ status: Number(name.slice(0, 3)), content: readFileSync(join(errors, name), 'utf8') }));
}
