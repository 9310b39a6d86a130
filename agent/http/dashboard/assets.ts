import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';

const TYPES: Record<string, string> = {
  html: 'text/html; charset=utf-8',
  css: 'text/css; charset=utf-8',
  js: 'text/javascript; charset=utf-8',
  svg: 'image/svg+xml',
};

export interface Asset {
  body: string;
  type: string;
  etag: string;
}

/** In a checkout the files are in `public/`; next to the built bundle they are in `dashboard/`. */
function assetFolder(): URL {
  const own = new URL('./public/', import.meta.url);
  return existsSync(own) ? own : new URL('./dashboard/', import.meta.url);
}

/** Reads the page's files, by name. */
export function loadAssets(folder: URL = assetFolder()): Map<string, Asset> {
  const names = readdirSync(folder, { recursive: true, encoding: 'utf8' });
  return new Map(
    names.flatMap((name) => {
      const type = TYPES[name.split('.').at(-1) ?? ''];
      if (!type) return [];
      const body = readFileSync(new URL(name, folder), 'utf8');
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      return [[name, { body, type, etag }] as const];
    }),
  );
}
