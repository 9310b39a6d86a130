import { existsSync, globSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * Checks imports between folders, the purity of decisions, packed keys and type names. Prints every violation as file:line and exits 1.
 * Regular expressions suffice: in formatted code the source of an import is on the line of its `from`.
 */
const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** The top folders that each of these may import, besides itself. Other folders may import anything. */
const ALLOWED_FOLDERS: Record<string, readonly string[]> = {
  shared: [],
  worker: ['shared'],
  agent: ['shared'],
};

/** The layers of agent/, lowest first. A file may import its own layer and lower ones. */
const AGENT_LAYERS: readonly (readonly string[])[] = [
  ['lib'],
  ['core'],
  ['judge'],
  [
    'alerting',
    'configuration',
    'discovery',
    'edge',
    'haproxy',
    'history',
    'live',
    'metrics',
    'probes',
    'registry',
    'reports',
    'sessions',
    'snapshot',
    'tracing',
  ],
  ['env.ts'],
  ['http', 'cli'],
  ['stages'],
  ['agent.ts', 'main.ts'],
];

/** Entry points that a command starts by a dynamic import. */
const ENTRY_POINTS = ['agent/main.ts'];

/** Folders of pure decisions. A file that exports a function `step` or `step…` must be pure as well. */
const PURE_FOLDERS = ['shared/', 'agent/judge/'];
const STEP_FUNCTION = /^export (?:const|function) step(?:[A-Z]\w*)?\b/m;
const IMPURE: [RegExp, string][] = [
  [/\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b/, 'reads the clock; take `now` as an argument'],
  [/\bMath\.random\b|\brandomUUID\b|\bgetRandomValues\b/, 'uses randomness; take `random` as an argument'],
  [/\bset(?:Timeout|Interval)\(/, 'sets a timer; timers belong to the caller'],
  [
    /(?<![.\w])fetch\(|\bprocess\.(?:env|exit|argv)\b/,
    'has an effect; effects belong to io/ and entry files',
  ],
];

/** Node modules do not exist in a Worker; zod and yaml take longer to load than all our code. */
const FORBIDDEN_IN_WORKER = /^(?:node:|zod$|yaml$)/;

interface Import {
  line: number;
  source: string;
  /** Path from the root for a relative import; null for a package. */
  target: string | null;
  typeOnly: boolean;
  dynamic: boolean;
}

/** From → to → the place of an import, as an example. */
type ImportGraph = Map<string, Map<string, string>>;

const violations: string[] = [];
/** Type name → the file that declares it. */
const typeNames = new Map<string, string>();
const files = globSync(['{shared,worker,agent,dev,bench}/**/*.ts'], { cwd: ROOT })
  .filter((file) => !file.includes('/public/') && file !== 'worker/wrangler-env.d.ts')
  .sort();
/** For each room of agent/: the rooms that it imports, each with one import as an example. */
const roomImports: ImportGraph = new Map();
/** For each file but tests: the files that it imports, also for types only. */
const fileImports: ImportGraph = new Map();

for (const file of files) {
  const text = readCode(file);
  const imports = importsOf(file, text);
  checkFolders(file, imports);
  checkPackedKeys(file, text);
  if (file.endsWith('.test.ts')) continue;
  checkTypeNames(file, text);
  for (const { line, target, dynamic } of imports)
    if (target !== null && !dynamic) addImport(fileImports, [file, target], `${file}:${line}`);
  if (file.startsWith('agent/')) checkLayers(file, imports);
  checkPurity(file, text);
}
checkCycles(roomImports);
checkCycles(fileImports);
checkWorkerBundle('worker/index.ts');
for (const violation of violations) process.stderr.write(`${violation}\n`);
process.exitCode = violations.length > 0 ? 1 : 0;

/** A type name means one thing in the whole tree. */
function checkTypeNames(file: string, text: string): void {
  for (const [index, line] of text.split('\n').entries()) {
    const name = /^(?:export )?(?:interface|type|class|enum) (\w+)\b(?!,)/.exec(line)?.[1];
    if (name === undefined) continue;
    const known = typeNames.get(name);
    if (known) violations.push(`${file}:${index + 1}: the type name ${name} is taken by ${known}`);
    else typeNames.set(name, file);
  }
}

/** `...{ a, b }` hides misspelled keys from the type checker: an object literal lists its keys. */
function checkPackedKeys(file: string, text: string): void {
  for (const [index, line] of text.split('\n').entries()) {
    if (/\.\.\.\{ *[\w'"]/.test(line))
      violations.push(`${file}:${index + 1}: packs keys with ...{ }; list them instead`);
  }
}

function checkFolders(file: string, imports: readonly Import[]): void {
  const [folder = ''] = file.split('/');
  const allowed = ALLOWED_FOLDERS[folder];
  if (!allowed) return;
  for (const { line, source, target } of imports) {
    const [targetFolder = '', inner] = target?.split('/') ?? [];
    // Files in the root folder, such as package.json, may be imported.
    if (inner === undefined || targetFolder === folder || allowed.includes(targetFolder)) continue;
    // Tests may also use the test harness and the development tools.
    if (file.endsWith('.test.ts') && targetFolder !== 'bench') continue;
    violations.push(`${file}:${line}: ${folder}/ must not import ${targetFolder}/ (${source})`);
  }
}

/** The room of a file in agent/: its folder, or the file itself if it is directly in agent/. */
function roomOf(file: string): string {
  return file.split('/')[1] ?? '';
}

function layerOf(room: string): number {
  return AGENT_LAYERS.findIndex((rooms) => rooms.includes(room));
}

function checkLayers(file: string, imports: readonly Import[]): void {
  const room = roomOf(file);
  if (layerOf(room) < 0) violations.push(`${file}:1: ${room} has no layer in dev/check-imports.ts`);
  for (const { line, source, target, dynamic } of imports) {
    if (!target?.startsWith('agent/') || roomOf(target) === room) continue;
    if (dynamic && ENTRY_POINTS.includes(target)) continue;
    const targetRoom = roomOf(target);
    if (layerOf(targetRoom) > layerOf(room)) {
      violations.push(
        `${file}:${line}: agent/${room} must not import the higher layer ${targetRoom} (${source})`,
      );
    }
    addImport(roomImports, [room, targetRoom], `${file}:${line}`);
  }
}

function addImport(graph: ImportGraph, [from, to]: [string, string], place: string): void {
  const targets = graph.get(from) ?? new Map<string, string>();
  graph.set(from, targets.set(to, place));
}

/** Reports every cycle once, at an import that closes it. */
function checkCycles(graph: ImportGraph): void {
  const done = new Set<string>();
  const visit = (node: string, path: readonly string[]): void => {
    if (done.has(node)) return;
    for (const [target, example] of graph.get(node) ?? []) {
      const start = [...path, node].indexOf(target);
      if (start >= 0) {
        const cycle = [...path, node].slice(start);
        violations.push(`${example}: cycle ${[...cycle, target].join(' → ')}`);
      } else {
        visit(target, [...path, node]);
      }
    }
    done.add(node);
  };
  for (const node of graph.keys()) visit(node, []);
}

function checkPurity(file: string, text: string): void {
  if (!PURE_FOLDERS.some((folder) => file.startsWith(folder)) && !STEP_FUNCTION.test(text)) return;
  for (const [index, line] of text.split('\n').entries()) {
    for (const [pattern, why] of IMPURE) {
      if (pattern.test(line)) violations.push(`${file}:${index + 1}: ${why}`);
    }
  }
}

/** Checks every file that becomes part of the Worker's bundle. */
function checkWorkerBundle(entry: string): void {
  const seen = new Set<string>();
  const visit = (file: string): void => {
    if (seen.has(file) || !existsSync(join(ROOT, file))) return;
    seen.add(file);
    for (const { line, source, target, typeOnly } of importsOf(file, readCode(file))) {
      if (typeOnly) continue;
      if (target !== null) visit(target);
      else if (FORBIDDEN_IN_WORKER.test(source)) {
        violations.push(`${file}:${line}: the Worker must not import ${source}`);
      }
    }
  };
  visit(entry);
}

function importsOf(file: string, text: string): Import[] {
  let statement = '';
  return text.split('\n').flatMap((line, index): Import[] => {
    statement = /^(?:import|export)\b/.test(line) ? line : `${statement} ${line}`;
    const [, keyword = '', source] = /(\bfrom|^import|\bimport\()\s*['"]([^'"]+)['"]/.exec(line) ?? [];
    if (source === undefined) return [];
    return [
      {
        line: index + 1,
        source,
        target: source.startsWith('.') ? relative(ROOT, join(ROOT, dirname(file), source)) : null,
        typeOnly: /^(?:import|export) type\b/.test(statement),
        dynamic: keyword === 'import(',
      },
    ];
  });
}

/** The text of a file with its comments blanked, so that line numbers stay the same. */
function readCode(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8')
    .replaceAll(/\/\*[\s\S]*?\*\//g, (comment) => comment.replaceAll(/[^\n]/g, ' '))
    .replaceAll(/^\s*\/\/.*$/gm, '');
}
