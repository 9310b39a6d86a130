/** Fields that the template of a webhook may use. */
export const TEMPLATE_FIELDS = [
  'event',
  'site',
  'at',
  'id',
  'rule',
  'service',
  'subject',
  'severity',
  'state',
  'value',
  'threshold',
  'message',
  'headline',
  'startedAt',
  'resolvedAt',
  'notified',
  'url',
  'runbook',
] as const;

type TemplateField = (typeof TEMPLATE_FIELDS)[number];

export type TemplateValues = Record<TemplateField, string | number | null>;

const PLACEHOLDER = /\{\{\s*([^{}]*?)\s*\}\}/g;

const isField = (name: string): name is TemplateField =>
  (TEMPLATE_FIELDS as readonly string[]).includes(name);

/** Replaces `{{field}}`. Values are escaped for a JSON string, so the template puts text in quotes. */
export function renderTemplate(template: string, values: TemplateValues): string {
  return template.replace(PLACEHOLDER, (_, name: string) =>
    isField(name) ? JSON.stringify(String(values[name] ?? '')).slice(1, -1) : '',
  );
}

/** Why a template is invalid, as the text after "expected"; null when it is valid. */
export function templateProblem(template: string): string | null {
  const unknown = [...template.matchAll(PLACEHOLDER)]
    .map(([, name = '']) => name)
    .find((name) => !isField(name));
  if (unknown !== undefined) return `a template with only the fields ${TEMPLATE_FIELDS.join(', ')}`;
  const sample = Object.fromEntries(TEMPLATE_FIELDS.map((field) => [field, 1])) as TemplateValues;
  try {
    JSON.parse(renderTemplate(template, sample));
    return null;
  } catch {
    return 'a template that is JSON when its fields are replaced, such as {"text": "{{headline}}"}';
  }
}
