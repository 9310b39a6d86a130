import { wrapAnsi } from 'fast-wrap-ansi';

/** The parts of an OpenAPI document that the page shows. */
export interface OpenApiDocument {
  paths: Record<string, Record<string, OpenApiOperation>>;
  components?: { schemas?: Record<string, OpenApiSchema> };
}

interface OpenApiOperation {
  summary?: string;
  description?: string;
  security?: { bearer?: string[] }[];
  parameters?: OpenApiParameter[];
  requestBody?: { content: Record<string, { schema?: OpenApiSchema }> };
  responses: Record<string, { description: string }>;
}

interface OpenApiParameter {
  name: string;
  in: string;
  description?: string;
  schema?: OpenApiSchema;
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

The agent's HTTP API on \`agent.bind\` (127.0.0.1:9400). \`npm run docs:check -- --write\` generates
this page from \`/v1/openapi.json\` and overwrites manual edits.

Writes need \`Authorization: Bearer $ACGS_TOKEN\`, or another token with the scope that the operation
names ([scopes](security.md#tokens-of-the-api)). Reads under \`/v1\` need a token too unless the API
listens on loopback only. Errors are \`application/problem+json\`. An address that guesses tokens gets
429 with \`Retry-After\` for up to a minute ([security](security.md)). Answers under \`/v1\` carry the
version of the agent in \`x-acgs-version\`.

\`GET /\` serves the [dashboard](dashboard.md); the metrics of \`GET /metrics\` are in
[observability](observability.md#metrics).
`;

/** Renders docs/api.md. */
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
  const scope = (operation.security ?? []).flatMap(({ bearer = [] }) => bearer)[0];
  const body = Object.values(operation.requestBody?.content ?? {})[0]?.schema;
  return [
    `## ${method.toUpperCase()} ${path}\n`,
    wrap([operation.summary, operation.description].filter(Boolean).map(sentence).join(' ')),
    ...(scope ? [`\nScope: \`${scope}\`.`] : []),
    ...(query.length > 0 ? [`\n${wrap(`Query: ${query.map(parameterText).join(', ')}.`)}`] : []),
    ...(body ? [`\n${wrap(`Body: ${typeText(body)}.`)}`] : []),
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

function parameterText({ name, description, schema }: OpenApiParameter): string {
  const text = description ?? schema?.description;
  return text ? `\`${name}\` (${text})` : `\`${name}\``;
}

const wrap = (text: string): string => wrapAnsi(text, 100);
const sentence = (text = ''): string => (/[.!?]$/.test(text) ? text : `${text}.`);
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('\n', ' ');
