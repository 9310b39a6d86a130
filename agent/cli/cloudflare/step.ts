import { CloudflareError } from './api.ts';

/** A failed step of the deployment: what is wrong and how to fix it. */
export class StepFailed extends Error {
  override name = 'StepFailed';
  readonly step: string;
  readonly mend: string;

  constructor(step: string, detail: string, mend: string) {
    super(detail);
    this.step = step;
    this.mend = mend;
  }
}

/** Runs one step. Turns a CloudflareError into a StepFailed with advice. */
export async function step<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CloudflareError) throw new StepFailed(name, error.message, adviceFor(error));
    throw error;
  }
}

export const TOKEN_PERMISSIONS =
  'Account: Workers Scripts Edit, Workers KV Storage Edit; Zone: Workers Routes Edit, Zone Read, DNS Read';

const INVALID_TOKEN = new Set([1000, 6003, 6111, 9109]);

export function adviceFor({ status, codes }: CloudflareError): string {
  if (status === 0) return 'check the network of this host, or CLOUDFLARE_API_BASE_URL';
  if (codes.some((code) => INVALID_TOKEN.has(code)))
    return `CLOUDFLARE_API_TOKEN is not valid: create one under My Profile → API Tokens (${TOKEN_PERMISSIONS})`;
  if (status === 401 || status === 403 || codes.includes(10000))
    return `CLOUDFLARE_API_TOKEN lacks a permission; it needs ${TOKEN_PERMISSIONS}`;
  if (status === 429) return 'wait five minutes: Cloudflare allows 1,200 calls in five minutes';
  if (codes.includes(7003)) return 'give the account id, 32 hexadecimal digits (--account)';
  if (status >= 500) return 'Cloudflare has a problem (www.cloudflarestatus.com); run the command again';
  return 'correct what Cloudflare names and run the command again: finished steps are kept';
}
