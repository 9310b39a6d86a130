import { kvErrorText, kvNamespaceUrl } from '../../snapshot/kv-rest.ts';
import { errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

const NAME = 'Workers KV';

/** Checks that the token can read the KV namespace, and explains the common errors. */
export async function checkKv({ config, env, fetch }: DoctorInput): Promise<Finding> {
  if (!config.edge.publish.kvApi) return skip(NAME, 'edge.publish.kvApi is off');
  const {
    CF_API_TOKEN,
    CF_ACCOUNT_ID: accountId,
    CF_KV_NAMESPACE_ID: namespaceId,
    CF_API_URL: apiUrl = 'https://api.cloudflare.com/client/v4',
  } = env;
  if (!CF_API_TOKEN || !accountId || !namespaceId)
    return skip(NAME, 'its variables are missing; see the check of the environment');
  try {
    const response = await fetch(`${kvNamespaceUrl({ apiUrl, accountId, namespaceId })}/keys?limit=10`, {
      headers: { authorization: `Bearer ${CF_API_TOKEN}` },
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
    });
    return interpret(response.status, await response.text());
  } catch (error) {
    return fail(NAME, errorSummary(error), `this host must be able to reach ${new URL(apiUrl).host}`);
  }
}

function interpret(status: number, text: string): Finding {
  if (status === 200 && /"success":\s*true/.test(text)) {
    return ok(NAME, 'the token can read the namespace; agent → snapshot shows whether it can write');
  }
  const detail = `the API answers ${status}: ${kvErrorText(text)}`;
  const codes = new Set([...detail.matchAll(/\((\d+)\)/g)].map(([, code]) => code));
  if (codes.has('6003') || codes.has('6111')) {
    return fail(
      NAME,
      detail,
      'CF_API_TOKEN is not an API token (40 characters, created under My Profile → API Tokens)',
    );
  }
  if (codes.has('7003') || codes.has('7000')) {
    return fail(
      NAME,
      detail,
      'set CF_ACCOUNT_ID to the account id, 32 hexadecimal digits (`wrangler whoami`)',
    );
  }
  if (status === 404 || codes.has('10013') || codes.has('10011')) {
    const mend =
      'set CF_KV_NAMESPACE_ID to the id that `wrangler kv namespace list` shows for the account CF_ACCOUNT_ID';
    return fail(NAME, detail, mend);
  }
  if (status === 429) {
    const mend =
      'wait five minutes; Cloudflare allows 1,200 calls in five minutes for one user, over all tokens';
    return warn(NAME, detail, mend);
  }
  if (status === 401 || status === 403) {
    const mend =
      'CF_API_TOKEN needs the permission Workers KV Storage: Edit on this account and must be valid: not expired, not rolled';
    return fail(NAME, detail, mend);
  }
  if (status >= 500) return warn(NAME, detail, 'Cloudflare has a problem; see www.cloudflarestatus.com');
  return fail(NAME, detail, 'unset CF_API_URL, or set it to https://api.cloudflare.com/client/v4');
}
