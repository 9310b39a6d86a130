export interface KvNamespace {
  /** `https://api.cloudflare.com/client/v4` */
  apiUrl: string;
  accountId: string;
  namespaceId: string;
}

/** Where the REST API has the namespace; its keys and values lie below. */
export function kvNamespaceUrl({ apiUrl, accountId, namespaceId }: KvNamespace): string {
  // Wrangler's local API has no accounts: its base already ends in the path below `/namespaces`.
  const base = apiUrl.includes('/cdn-cgi/') ? apiUrl : `${apiUrl}/accounts/${encodeURIComponent(accountId)}`;
  return `${base.replace(/\/$/, '')}/storage/kv/namespaces/${encodeURIComponent(namespaceId)}`;
}

/** What Cloudflare says in its envelope: `Authentication error (10000)`; the text's beginning when it is no envelope. */
export function kvErrorText(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] };
    const said = (errors ?? []).map(({ code, message }) => `${String(message)} (${String(code)})`);
    if (said.length > 0) return said.join('; ').slice(0, 300);
  } catch {
    // Not Cloudflare's API, or a proxy before it.
  }
  return text.slice(0, 200).replaceAll('\n', ' ');
}
