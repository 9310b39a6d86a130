/** The parts of an OpenAPI document that the page shows. */
export interface OpenApiDocument {
  paths: Record<string, Record<string, OpenApiOperation>>;
  components?: { schemas?: Record<string, OpenApiSchema> };
}

interface OpenApiOperation {
  summary?: string;
  description?: string;
  security?: unknown[];
  parameters?: { name: string; in: string; required?: boolean; schema?: OpenApiSchema }[];
  requestBody?: { content: Record<string, { schema?: OpenApiSchema }> };
  responses: Record<string, { description: string }>;
}

interface OpenApiSchema {
  $ref?: string;
  type?: string | string[];
  enum?: unknown[];
  anyOf?: OpenApiSchema[];
  items?: OpenApiSchema;
  properties?: Record<string, OpenApiSchema>;
  required?: string[];
  description?: string;
  additionalProperties?: OpenApiSchema | boolean;
}

const HEAD = `# API

The agent's HTTP API on \`agent.bind\` (127.0.0.1:9400). Made from \`/v1/openapi.json\` by \`npm run docs:check -- --write\`;
edits here are overwritten. Writes take \`Authorization: Bearer $ACGS_TOKEN\`; reads need it only where the API does not
listen on loopback. Errors are \`application/problem+json\`. An address that
guesses tokens is 429 for up to a minute, with \`Retry-After\` ([security](security.md)).

Not described there, since they are no JSON: \`GET /health\`, \`GET /ready\`, \`GET /metrics\` (Prometheus), \`GET /\` (the
dashboard), \`GET /v1/events\` and \`GET /v1/live\` (server-sent events), \`GET /v1/status\`, \`POST /v1/edge-reports\` (edges only).
`;

/** docs/api.md. */
export function renderApiPage(document: OpenApiDocument): string {
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => operationText(method, path, operation)),
  );
  const schemas = Object.entries(document.components?.schemas ?? {}).map(([name, schema]) =>
    schemaText(name, schema),
  );
  return `${[HEAD, ...operations, '## Documents\n', ...schemas].join('\n').trimEnd()}\n`;
}

function operationText(method: string, path: string, operation: OpenApiOperation): string {
  const query = (operation.parameters ?? []).filter((parameter) => parameter.in === 'query');
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  return [
    `## ${method.toUpperCase()} ${path}\n`,
    [operation.summary, operation.description].filter(Boolean).map(sentence).join(' '),
    ...(query.length > 0 ? [`\nQuery: ${query.map(({ name }) => `\`${name}\``).join(', ')}.`] : []),
    ...(body ? [`\nBody: ${typeText(body)}.`] : []),
    '\n| status | means |\n|---|---|',
    ...Object.entries(operation.responses).map(
      ([status, { description }]) => `| ${status} | ${cell(description)} |`,
    ),
    '',
  ].join('\n');
}

function schemaText(name: string, schema: OpenApiSchema): string {
  const required = new Set(schema.required);
  const rows = Object.entries(schema.properties ?? {}).map(
    ([key, value]) =>
      `| \`${key}\`${required.has(key) ? '' : ' (optional)'} | ${cell(typeText(value))} | ${cell(value.description ?? '')} |`,
  );
  return [`### ${name}\n`, '| field | type | |\n|---|---|---|', ...rows, ''].join('\n');
}

function typeText(schema: OpenApiSchema): string {
  if (schema.$ref) {
    const name = schema.$ref.split('/').at(-1) ?? '';
    return `[${name}](#${name.toLowerCase()})`;
  }
  if (schema.enum) return schema.enum.map((value) => `\`${String(value)}\``).join(' or ');
  if (schema.anyOf) return schema.anyOf.map(typeText).join(' or ');
  if (schema.items) return `list of ${typeText(schema.items)}`;
  if (schema.properties) {
    return `object of ${Object.keys(schema.properties)
      .map((key) => `\`${key}\``)
      .join(', ')}`;
  }
  return [schema.type ?? 'any'].flat().join(' or ');
}

const sentence = (text = ''): string => (/[.!?]$/.test(text) ? text : `${text}.`);
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
