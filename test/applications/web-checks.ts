import { type ApplicationCheck, type CheckContext, type KnownFailures, mustEqual } from './application.ts';

/**
 * What every web framework must do. The applications answer `/self` with their absolute URL of `/target`, `/redirect` with a
 * redirect to it, `/form` with the fields of a form whose `Origin` is the application's own, and `/cookies` with two cookies
 * and those of the request.
 */
export function webChecks(fails: KnownFailures = {}): ApplicationCheck[] {
  return [
    { what: 'absolute URLs and redirects have the host that the client used', run: ownUrl, fails },
    { what: 'a form with a file passes a check of `Origin` (CSRF)', run: form, fails },
    { what: 'several cookies, there and back', run: cookies },
  ];
}

async function ownUrl({ url }: CheckContext): Promise<void> {
  mustEqual(await (await fetch(`${url}/self`)).json(), { url: `${url}/target` }, 'absolute URL');
  const redirect = await fetch(`${url}/redirect`, { redirect: 'manual' });
  mustEqual([redirect.status, redirect.headers.get('location')], [302, `${url}/target`], 'redirect');
}

async function form({ url }: CheckContext): Promise<void> {
  const body = new FormData();
  body.set('name', 'größe');
  body.set('file', new Blob([new Uint8Array(300_000)]), 'file.bin');
  // A body of a form has a length in browsers; `fetch` of Node sends it in chunks.
  const encoded = new Response(body);
  const response = await fetch(`${url}/form`, {
    method: 'POST',
    headers: { origin: url, 'content-type': encoded.headers.get('content-type') ?? '' },
    body: await encoded.arrayBuffer(),
  });
  mustEqual(response.status, 200, 'status');
  const { name, bytes } = (await response.json()) as { name: string; bytes: number };
  mustEqual([name, bytes], ['größe', 300_000], 'fields');
}

async function cookies({ url }: CheckContext): Promise<void> {
  const response = await fetch(`${url}/cookies`, { headers: { cookie: 'session=abc; theme=dark' } });
  mustEqual(await response.json(), { session: 'abc', theme: 'dark' }, 'cookies of the request');
  const set = response.headers.getSetCookie().map((cookie) => cookie.split(';')[0]);
  mustEqual(set.filter((cookie) => /^(one|two)=/.test(cookie ?? '')).sort(), ['one=1', 'two=2'], 'cookies');
}
