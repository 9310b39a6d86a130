import type { OpenAPIHono } from '@hono/zod-openapi';
import { requiredScope, scopeName } from './scopes.ts';

type ApiDocument = ReturnType<OpenAPIHono['getOpenAPI31Document']>;
type PathItem = NonNullable<ApiDocument['paths']>[string];
type Operation = NonNullable<PathItem['get']>;
type Responses = NonNullable<Operation['responses']>;

const METHODS = ['get', 'post', 'put', 'delete'] as const;

export const SECURITY_SCHEMES = {
  bearer: {
    type: 'http',
    scheme: 'bearer',
    description:
      'ACGS_TOKEN (scope admin) or a token of ACGS_TOKENS. The roles of an operation name the scope that it needs.',
  },
  edgeToken: {
    type: 'apiKey',
    in: 'header',
    name: 'x-acgs-edge',
    description: 'the ES256 token of the edge for this site, valid for 60 s',
  },
} as const;

/** Adds what all operations have in common: who may call them, and the errors that every request can meet. */
export function completeDocument(document: ApiDocument): ApiDocument {
  for (const [path, item] of Object.entries(document.paths ?? {})) {
    for (const method of METHODS) {
      const operation = item[method];
      if (operation) complete(operation, method, path);
    }
  }
  return document;
}

function complete(operation: Operation, method: string, path: string): void {
  const common: { [status: string]: string } = { 500: 'internal error; see the log of the agent' };
  if (operation.requestBody || (operation.parameters ?? []).length > 0) common[400] = 'invalid request';
  // Also for a write that needs no body: a client may send one.
  if (method !== 'get') {
    common[413] = 'the body is too large';
    if (path !== '/v1/config') common[415] = 'the body is not JSON';
  }
  if (path.startsWith('/v1/')) {
    operation.security = securityOf(method, path);
    common[401] = 'no valid token';
    common[429] = 'too many wrong tokens from this address; retry after Retry-After';
  } else {
    operation.security = [];
  }
  if (path !== '/v1/edge-reports') {
    common[403] = path.startsWith('/v1/')
      ? 'Host or Origin is not allowed, or the token lacks the scope'
      : 'Host or Origin is not allowed';
  }
  const problems = Object.entries(common).map(([status, description]) => [status, problem(description)]);
  operation.responses = { ...Object.fromEntries(problems), ...operation.responses } as Responses;
}

/** On loopback, reads need no token. */
function securityOf(method: string, path: string): NonNullable<Operation['security']> {
  if (path === '/v1/edge-reports') return [{ edgeToken: [] }];
  const scope = requiredScope(method.toUpperCase(), path);
  if (scope.kind === 'any') return [{ bearer: [] }];
  const bearer = { bearer: [scopeName(scope)] };
  return scope.kind === 'read' ? [{}, bearer] : [bearer];
}

const problem = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
});
