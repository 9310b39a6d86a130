import { writeFileSync } from 'node:fs';
import { z } from 'zod';
import { isRestartOnly } from '../shared/config/restart-only.ts';
import { durationText } from '../shared/config/scalars.ts';
import { fileSchema } from '../shared/config/schema.ts';
import { BUILT_IN } from '../shared/config/service.ts';

/** The part of JSON Schema that the schema of acgs-lb.yaml uses. */
interface SchemaNode {
  title?: string;
  description?: string;
  type?: string;
  const?: unknown;
  enum?: unknown[];
  default?: unknown;
  minimum?: number;
  maximum?: number;
  properties?: Record<string, SchemaNode>;
  required?: string[];
  additionalProperties?: boolean | SchemaNode;
  items?: SchemaNode;
  anyOf?: SchemaNode[];
  oneOf?: SchemaNode[];
}

interface ReferenceRow {
  path: string;
  allowed: string;
  fallback: string;
  meaning: string;
}

/** The text of docs/configuration-reference.md: every key, from the schema that validates the file. */
export function configReference(): string {
  const root = z.toJSONSchema(fileSchema, {
    io: 'input',
    unrepresentable: 'any',
    reused: 'inline',
    // Zod omits defaults that are not in the file's form, such as milliseconds for a duration. `written` converts them back.
    override({ zodSchema, jsonSchema }) {
      const { def } = zodSchema._zod;
      if (def.type === 'default') jsonSchema.default ??= def.defaultValue as typeof jsonSchema.default;
    },
  }) as SchemaNode;
  const sections = Object.entries(root.properties ?? {});
  const plain = sections.filter(([, node]) => !node.properties && !isMap(node));
  const parts = sections.filter(([, node]) => node.properties || isMap(node));
  return `${[
    `# Every key of acgs-lb.yaml

<!-- Generated from the schema by \`npm run docs:reference\`. Do not edit. -->

[configuration.md](configuration.md) explains how the keys work together. \`<id>\` is a name you
choose, \`[]\` is each item of a list. A key without a default is optional, unless it is **required**
where its section or item is present. A change to a key marked ↻ takes effect when the agent
restarts; every other change applies without a restart.
`,
    table(
      'Top level',
      plain.flatMap(([key, node]) => rows(key, node, isRequired(root, key))),
    ),
    ...parts.map(([key, node]) =>
      key === 'defaults'
        ? `## defaults\n\nDefaults for every service. The keys are those under [services](#services):\n${Object.keys(
            node.properties ?? {},
          )
            .map((name, index) => `${index > 0 && index % 6 === 0 ? '\n' : ' '}\`${name}\``)
            .join('')
            .trim()}.\n`
        : table(key, rows(key, node, isRequired(root, key))),
    ),
  ].join('\n')}`;
}

function table(title: string, found: ReferenceRow[]): string {
  const lines = found.map(
    ({ path, allowed, fallback, meaning }) =>
      `| \`${path}\`${isRestartOnly(path) ? ' ↻' : ''} | ${cell(allowed)} | ${fallback} | ${cell(meaning)} |`,
  );
  return `## ${title}\n\n| key | value | default | meaning |\n|---|---|---|---|\n${lines.join('\n')}\n`;
}

/** One row per value. A section has no row; its keys have. */
function rows(path: string, node: SchemaNode, required: boolean): ReferenceRow[] {
  if (node.properties) {
    return Object.entries(node.properties).flatMap(([key, inner]) =>
      rows(`${path}.${key}`, inner, isRequired(node, key)),
    );
  }
  const inside = isMap(node) ? node.additionalProperties : node.items;
  const place = isMap(node) ? `${path}.<id>` : `${path}[]`;
  const choices = inside?.oneOf ?? inside?.anyOf ?? [];
  const composed = choices.some((one) => one.properties) ? choices : inside?.properties ? [inside] : [];
  const self: ReferenceRow[] =
    composed.length > 0 && fallbackOf(path, node) === ''
      ? []
      : [
          {
            path,
            allowed: allowed(node),
            fallback: required ? '**required**' : fallbackOf(path, node),
            meaning: node.title ?? '',
          },
        ];
  return [...self, ...composed.flatMap((one) => rows(variant(place, one), one, false))];
}

/** The keys of a receiver depend on its type: `receivers.<id>(slack).channel`. */
function variant(place: string, node: SchemaNode): string {
  const kind = node.properties?.type?.const;
  return kind === undefined ? place : `${place}(${String(kind)})`;
}

function allowed(node: SchemaNode): string {
  if (node.description) return node.description;
  if (node.const !== undefined) return `\`${String(node.const)}\``;
  if (node.enum) return node.enum.map((value) => `\`${String(value)}\``).join(' ');
  const choices = node.anyOf ?? node.oneOf;
  if (choices) return choices.map(allowed).join(', or ');
  if (node.type === 'array')
    return node.items?.properties ? 'a list' : `a list, each ${allowed(node.items ?? {})}`;
  if (node.type === 'object') return 'a map';
  if (node.type === 'boolean') return '`true` `false`';
  if (node.type === 'integer' || node.type === 'number') return range(node);
  return node.type === 'string' ? 'text' : 'any value';
}

function range({ type, minimum, maximum }: SchemaNode): string {
  const what = type === 'integer' ? 'a whole number' : 'a number';
  const top = maximum !== undefined && maximum < Number.MAX_SAFE_INTEGER ? maximum : null;
  const bottom = minimum !== undefined && minimum > Number.MIN_SAFE_INTEGER ? minimum : null;
  if (bottom !== null && top !== null) return `${what}, ${bottom} to ${top}`;
  if (bottom !== null) return `${what} from ${bottom}`;
  return top === null ? what : `${what} up to ${top}`;
}

/** The default, as the file would write it. Defaults of a service come from `BUILT_IN`. */
function fallbackOf(path: string, node: SchemaNode): string {
  const built = path.startsWith('services.<id>.')
    ? path
        .split('.')
        .slice(2)
        .reduce<unknown>((at, key) => (isRecord(at) ? at[key] : undefined), BUILT_IN)
    : undefined;
  const value = node.default ?? built;
  if (value === undefined) return '';
  if (path.endsWith('health.expect.status')) return '`[200]`';
  return `\`${written(value, allowed(node)).replaceAll('|', '\\|')}\``;
}

/** A parsed value in the file's form. */
function written(value: unknown, form: string): string {
  if (typeof value === 'number' && form.startsWith('a duration')) return durationText(value);
  if (typeof value === 'number' && form.startsWith('a percentage')) return `${value * 100}%`;
  if (isRecord(value) && typeof value.windowMs === 'number')
    return `${value.limit}/${durationText(value.windowMs)}`;
  return typeof value === 'string' ? value : JSON.stringify(value);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const isMap = (node: SchemaNode): node is SchemaNode & { additionalProperties: SchemaNode } =>
  typeof node.additionalProperties === 'object' && !node.properties;
const isRequired = (node: SchemaNode, key: string): boolean => node.required?.includes(key) ?? false;
const cell = (text: string): string => text.replaceAll('|', '\\|').replaceAll('<', '&lt;');

if (import.meta.main) {
  writeFileSync(new URL('../docs/configuration-reference.md', import.meta.url), configReference());
}
