import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

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

/** Files of npm packages that the page loads. The build copies them beside the page's own files. */
export const PACKAGE_FILES: Record<string, string> = {
  'vendor/uplot.js': 'uplot/dist/uPlot.esm.js',
  'vendor/uplot.css': 'uplot/dist/uPlot.min.css',
};

/** The page's files by name. In a checkout they are in `public/` and in packages, beside the built bundle in `dashboard/`. */
export function loadAssets(): Map<string, Asset> {
  const own = new URL('./public/', import.meta.url);
  if (!existsSync(own)) return new Map(filesIn(new URL('./dashboard/', import.meta.url)));
  const { resolve } = createRequire(import.meta.url);
  const packageFiles = Object.entries(PACKAGE_FILES).map(
    ([name, file]) => [name, readAsset(name, pathToFileURL(resolve(file)))] as const,
  );
  return new Map([...filesIn(own), ...packageFiles]);
}

function filesIn(folder: URL): (readonly [string, Asset])[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => typeOf(name) !== undefined)
    .map((name) => [name, readAsset(name, new URL(name, folder))] as const);
}

const typeOf = (name: string): string | undefined => TYPES[name.split('.').at(-1) ?? ''];

function readAsset(name: string, file: URL): Asset {
  const body = readFileSync(file, 'utf8');
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { body, type: typeOf(name) ?? 'application/octet-stream', etag };
}
