import { problemResponse } from '../problem.ts';
import type { EdgeSettings } from '../settings.ts';

/** Why this edge cannot route anything, and what to do; null if it has keys for snapshots or a fallback. */
export function missingSetUp({ verifyKeys, directoryKeys, fallbackOrigin }: EdgeSettings): string | null {
  if (verifyKeys.length + directoryKeys.length > 0 || fallbackOrigin !== null) return null;
  return (
    'This edge is not set up: SNAPSHOT_PUBLIC_KEYS and FALLBACK_ORIGIN are empty. In a checkout, `npm run dev:edge` ' +
    'starts the whole system with this Worker under wrangler dev. For `npx wrangler dev` alone, copy .dev.vars.example ' +
    'to .dev.vars and set FALLBACK_ORIGIN there, the URL of a gateway or service. On Cloudflare, run `acgs-lb edge ' +
    'deploy`.'
  );
}

/** A page for a browser, a problem document for everything else. */
export function notSetUp(request: Request, detail: string): Response {
  const title = 'Edge not set up';
  if (!request.headers.get('accept')?.includes('text/html')) {
    return problemResponse({ title, status: 503, detail });
  }
  const text = detail.replaceAll(/`([^`]*)`/g, '<code>$1</code>').replaceAll('. ', '.</p>\n<p>');
  const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${title}</title>
<style>
  :root { color-scheme: light dark; font: 1rem/1.5 system-ui, sans-serif; }
  body { max-width: 40rem; margin: 3rem auto; padding: 0 1rem; }
  code { font-family: ui-monospace, monospace; background: #8883; padding: 0.1em 0.3em; border-radius: 3px; }
</style>
<h1>${title}</h1>
<p>${text}</p>
</html>
`;
  const headers = { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' };
  return new Response(page, { status: 503, headers });
}
