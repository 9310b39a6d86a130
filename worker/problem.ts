export interface ProblemDetails {
  status: number;
  title: string;
  detail?: string;
  type?: string;
  [member: string]: unknown;
}

/** An `application/problem+json` response (RFC 9457). */
export function problemResponse(details: ProblemDetails, headers: Record<string, string> = {}): Response {
  return new Response(`${JSON.stringify({ type: 'about:blank', ...details })}\n`, {
    status: details.status,
    headers: { 'content-type': 'application/problem+json', 'cache-control': 'no-store', ...headers },
  });
}
