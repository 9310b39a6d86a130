import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

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

/** The page's files. Read once: a bundle has them beside it in `public/`, a checkout in its own folder. */
export function loadAssets(names: readonly string[]): Map<string, Asset> {
  return new Map(
    names.map((name) => {
      const body = readFileSync(new URL(`./public/${name}`, import.meta.url), 'utf8');
      const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
      return [name, { body, type: TYPES[name.split('.').at(-1) ?? ''] ?? 'text/plain', etag }];
    }),
  );
}
