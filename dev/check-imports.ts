import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Holds the borders between folders, and keeps decisions pure. Prints every offence as file:line and exits 1.
 * TypeScript's own parser is not needed: in formatted code an import's source stands on the line of its `from`.
 */
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Who may import from whom, besides itself. Folders that are not named here may import anything. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  shared: [],
  worker: ['shared'],
  agent: ['shared'],
};

/** Decisions take time and chance as arguments and do nothing to the world. */
const PURE = ['shared/', 'agent/judge/'];
const IMPURE: [RegExp, string][] = [
  [/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/, 'reads the clock: take `now` as an argument'],
  [/\bMath\.random\b|\brandomUUID\b|\bgetRandomValues\b/, 'rolls dice: take `random` as an argument'],
  [/\bset(?:Timeout|Interval)\(/, 'waits: timers belong to whoever calls it'],
  [
    /(?<![.\w])fetch\(|\bprocess\.(?:env|exit|argv)\b/,
    'touches the world: effects belong into io/ and entry files',
  ],
];

/** What a Worker cannot have (node:) or should not carry (zod and yaml cost more to load than all our code). */
const NOT_IN_THE_WORKER = /^(?:node:|zod$|yaml$)/;

interface Import {
  line: number;
  source: string;
  typeOnly: boolean;
}

const offences: string[] = [];
const files = globSync(['{shared,worker,agent,dev,bench}/**/*.ts'], { cwd: ROOT })
  .filter((file) => !file.includes('/public/'))
  .sort();
for (const file of files) {
  const text = withoutComments(readFileSync(join(ROOT, file), 'utf8'));
  checkBorders(file, importsOf(text));
  if (!file.endsWith('.test.ts')) checkPurity(file, text);
}
checkWorker('worker/index.ts');
for (const offence of offences) process.stderr.write(`${offence}\n`);
process.exitCode = offences.length > 0 ? 1 : 0;

function checkBorders(file: string, imports: readonly Import[]): void {
  const [folder = ''] = file.split('/');
  const allowed = MAY_IMPORT[folder];
  if (!allowed) return;
  for (const { line, source } of imports) {
    if (!source.startsWith('.')) continue;
    const [target = '', inner] = relative(ROOT, join(ROOT, dirname(file), source)).split('/');
    // A file of the root, such as package.json, is nobody's inside.
    if (inner === undefined) continue;
    // Tests stand beside what they test and use the harness.
    if (target === folder || allowed.includes(target) || (file.endsWith('.test.ts') && target !== 'bench'))
      continue;
    offences.push(`${file}:${line}: ${folder}/ may not import ${target}/ (${source})`);
  }
}

function checkPurity(file: string, text: string): void {
  if (!PURE.some((folder) => file.startsWith(folder))) return;
  for (const [index, line] of text.split('\n').entries()) {
    for (const [pattern, why] of IMPURE) {
      if (pattern.test(line)) offences.push(`${file}:${index + 1}: ${why}`);
    }
  }
}

/** Walks all that ends up in the Worker's bundle. */
function checkWorker(entry: string): void {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file) || !existsSync(join(ROOT, file))) return;
    seen.add(file);
    for (const { line, source, typeOnly } of importsOf(
      withoutComments(readFileSync(join(ROOT, file), 'utf8')),
    )) {
      if (typeOnly) continue;
      if (source.startsWith('.')) visit(relative(ROOT, join(ROOT, dirname(file), source)));
      else if (NOT_IN_THE_WORKER.test(source))
        offences.push(`${file}:${line}: ${source} may not get into the Worker`);
    }
  };
  visit(entry);
}

function importsOf(text: string): Import[] {
  const lines = text.split('\n');
  let statement = '';
  return lines.flatMap((line, index) => {
    statement = /^(?:import|export)\b/.test(line) ? line : `${statement} ${line}`;
    const found = /(?:\bfrom|^import|\bimport\()\s*['"]([^'"]+)['"]/.exec(line)?.[1];
    return found
      ? [{ line: index + 1, source: found, typeOnly: /^(?:import|export) type\b/.test(statement) }]
      : [];
  });
}

/** Same number of lines, without what stands in comments. */
function withoutComments(text: string): string {
  return text
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/^\s*\/\/.*$/gm, '');
}
