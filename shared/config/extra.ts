import type { Config } from './config.ts';
import type { ConfigProblem } from './problem.ts';

/** One line of `haproxy.extra`. */
export interface ExtraLine {
  /** Path of the snippet in the file, such as `['haproxy', 'extra', 'global']`. */
  path: string[];
  /** From 0, within the snippet. */
  index: number;
  text: string;
}

type Extra = Config['haproxy']['extra'];

const splitSnippet = (path: string[], text: string | undefined): ExtraLine[] =>
  (text ?? '')
    .trimEnd()
    .split('\n')
    .map((line, index) => ({ path, index, text: line.trimEnd() }))
    .filter((line) => line.text !== '');

const ROOT = ['haproxy', 'extra'];

export const extraLines = (
  extra: Extra,
  section: 'global' | 'defaults' | 'frontend' | 'other',
): ExtraLine[] => splitSnippet([...ROOT, section], extra[section]);

export const extraServiceLines = (extra: Extra, service: string): ExtraLine[] =>
  splitSnippet(
    [...ROOT, 'services', service],
    // A service may have the name of a property that every object has, such as constructor.
    Object.hasOwn(extra.services, service) ? extra.services[service] : undefined,
  );

/** The keywords that start a section in HAProxy 2.6 to 3.3. */
export const SECTION_KEYWORDS: ReadonlySet<string> = new Set([
  'acme',
  'backend',
  'cache',
  'crt-store',
  'defaults',
  'dynamic-update',
  'fcgi-app',
  'frontend',
  'global',
  'http-errors',
  'listen',
  'log-forward',
  'log-profile',
  'mailers',
  'peers',
  'program',
  'resolvers',
  'ring',
  'traces',
  'userlist',
]);

/** A section keyword in a snippet would end the section that the snippet belongs to. */
export function extraProblems({ haproxy, services }: Config): ConfigProblem[] {
  const { extra, mode } = haproxy;
  const inside = [
    ...(['global', 'defaults', 'frontend'] as const).flatMap((section) => extraLines(extra, section)),
    ...Object.keys(extra.services).flatMap((service) => extraServiceLines(extra, service)),
  ];
  const sections = inside
    .filter(({ text }) => SECTION_KEYWORDS.has(firstWord(text)))
    .map(({ path, text }) => ({
      path,
      value: text.trim(),
      allowed: 'a line that does not start a section (haproxy.extra.other holds whole sections)',
    }));
  const unknown = Object.keys(extra.services)
    .filter((service) => services[service] === undefined)
    .map((service) => ({
      path: [...ROOT, 'services', service],
      value: service,
      allowed: `one of ${Object.keys(services).join(', ')}`,
    }));
  const besides: ConfigProblem[] =
    mode === 'beside' && extra.global !== undefined
      ? [
          {
            path: [...ROOT, 'global'],
            value: extra.global,
            allowed: 'no value with mode: beside; the section global is in your own file (haproxy.mainFile)',
          },
        ]
      : [];
  const [other] = extraLines(extra, 'other').filter(({ text }) => !/^\s*[#.]/.test(text));
  const headless: ConfigProblem[] =
    other && !SECTION_KEYWORDS.has(firstWord(other.text))
      ? [
          {
            path: other.path,
            value: other.text.trim(),
            allowed: 'whole sections; the first line must start one, such as `listen db`',
          },
        ]
      : [];
  return [...sections, ...unknown, ...besides, ...headless];
}

/** HAProxy also removes quotes and escapes from the first word. */
const firstWord = (text: string): string => (/^\s*(\S*)/.exec(text)?.[1] ?? '').replaceAll(/["'\\]/g, '');
