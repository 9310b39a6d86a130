import { kvErrorText, kvNamespaceUrl } from '../../snapshot/kv-rest.ts';
import { errorSummary, type Finding, fail, ok, skip, warn } from './finding.ts';
import type { DoctorInput } from './input.ts';

const NAME = 'Workers KV';

/** The token may read the namespace; each mistake that people make answers in a way of its own. */
export async function checkKv({ config, env, fetch }: DoctorInput): Promise<Finding> {
  if (!config.edge.publish.kvApi) return skip(NAME, 'edge.publish.kvApi is off');
  const {
    CF_API_TOKEN,
    CF_ACCOUNT_ID: accountId,
    CF_KV_NAMESPACE_ID: namespaceId,
    CF_API_URL: apiUrl = 'https://api.cloudflare.com/client/v4',
  } = env;
  if (!CF_API_TOKEN || !accountId || !namespaceId)
    return skip(NAME, 'its variables are missing, see environment');
  try {
    const response = await fetch(`${kvNamespaceUrl({ apiUrl, accountId, namespaceId })}/keys?limit=10`, {
      headers: { authorization: `Bearer ${CF_API_TOKEN}` },
      redirect: 'manual',
      signal: AbortSignal.timeout(10_000),
    });
    return judge(response.status, await response.text());
  } catch (error) {
    return fail(NAME, errorSummary(error), `this host must reach ${new URL(apiUrl).host}`);
  }
}

function judge(status: number, text: string): Finding {
  if (status === 200 && /"success":\s*true/.test(text)) {
    return ok(NAME, 'the token may read the namespace; agent → snapshot tells whether it writes');
  }
  const detail = `the API answers ${status}: ${kvErrorText(text)}`;
  const codes = new Set([...detail.matchAll(/\((\d+)\)/g)].map(([, code]) => code));
  if (codes.has('6003') || codes.has('6111')) {
    return fail(
      NAME,
      detail,
      'CF_API_TOKEN is no API token (40 characters, made under My Profile → API Tokens)',
    );
  }
  if (codes.has('7003') || codes.has('7000')) {
    return fail(
      NAME,
      detail,
      'CF_ACCOUNT_ID must be the account’s id of 32 hexadecimal digits (wrangler whoami)',
    );
  }
  if (status === 404 || codes.has('10013') || codes.has('10011')) {
    const mend =
      'CF_KV_NAMESPACE_ID must be the id that `wrangler kv namespace list` shows, in the account of CF_ACCOUNT_ID';
    return fail(NAME, detail, mend);
  }
  if (status === 429) {
    const mend =
      'wait five minutes; 1,200 calls in five minutes are allowed for one user, all tokens together';
    return warn(NAME, detail, mend);
  }
  if (status === 401 || status === 403) {
    const mend =
      'CF_API_TOKEN needs the permission Workers KV Storage: Edit on this account, and must be neither expired nor rolled';
    return fail(NAME, detail, mend);
  }
  if (status >= 500) return warn(NAME, detail, 'Cloudflare has trouble: www.cloudflarestatus.com');
  return fail(NAME, detail, 'CF_API_URL must be https://api.cloudflare.com/client/v4, or not set');
}
