import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';

/** An error that a route throws and the client receives as problem+json (RFC 9457). */
export class ProblemError extends Error {
  override name = 'ProblemError';
  readonly status: ContentfulStatusCode;
  readonly title: string;
  readonly extensions: { [name: string]: unknown };
  readonly headers: { [name: string]: string };

  constructor(
    status: ContentfulStatusCode,
    title: string,
    detail: string,
    more: { extensions?: { [name: string]: unknown }; headers?: { [name: string]: string } } = {},
  ) {
    super(detail);
    this.status = status;
    this.title = title;
    this.extensions = more.extensions ?? {};
    this.headers = more.headers ?? {};
  }
}

export function problemResponse(context: Context, error: ProblemError): Response {
  const problem = {
    type: 'about:blank',
    title: error.title,
    status: error.status,
    detail: error.message,
    ...error.extensions,
  };
  return context.body(JSON.stringify(problem), error.status, {
    ...error.headers,
    'content-type': 'application/problem+json',
    'cache-control': 'no-store',
  });
}
