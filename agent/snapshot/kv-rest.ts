export interface KvNamespace {
  /** `https://api.cloudflare.com/client/v4` */
  apiUrl: string;
  accountId: string;
  namespaceId: string;
}

/** The base URL of a namespace in the REST API, without a trailing slash. */
export function kvNamespaceUrl({ apiUrl, accountId, namespaceId }: KvNamespace): string {
  // Wrangler's local API has no accounts: its base URL contains the whole path.
  const base = apiUrl.includes('/cdn-cgi/') ? apiUrl : `${apiUrl}/accounts/${encodeURIComponent(accountId)}`;
  return `${base.replace(/\/$/, '')}/storage/kv/namespaces/${encodeURIComponent(namespaceId)}`;
}

/**
 * The errors of a Cloudflare API response, such as `Authentication error (10000)`; the first 200 characters of any other
 * response.
 */
export function kvErrorText(text: string): string {
  try {
    const { errors } = JSON.parse(text) as { errors?: { code?: unknown; message?: unknown }[] };
    const messages = (errors ?? []).map(({ code, message }) => `${String(message)} (${String(code)})`);
    if (messages.length > 0) return messages.join('; ').slice(0, 300);
  } catch {
    // Not a response of Cloudflare's API; perhaps from a proxy in front of it.
  }
  return text.slice(0, 200).replaceAll('\n', ' ');
}

/** Whether Cloudflare's API confirms success. A proxy or a login page in front of it also answers 200. */
export function isKvSuccess(text: string): boolean {
  try {
    return (JSON.parse(text) as { success?: unknown } | null)?.success === true;
  } catch {
    return false;
  }
}
