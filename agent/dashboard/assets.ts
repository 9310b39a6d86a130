import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';

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

/** The page's files by name. Read once: a bundle has them beside it in `public/`, a checkout in its own folder. */
export function loadAssets(folder: URL = new URL('./public/', import.meta.url)): Map<string, Asset> {
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
