import {
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseDocument,
} from 'yaml';

/** An error of the YAML text itself. */
interface YamlError {
  offset: number;
  message: string;
}

export interface YamlData {
  data: unknown;
  errors: YamlError[];
  /** Offset of a value in the text: of its key in a map, of the item in a list; of the nearest parent when missing. */
  offsetOf(path: readonly PropertyKey[]): number;
  /** `line:column` of an offset, from 1. */
  positionOf(offset: number): string;
}

const MAX_DEPTH = 64;
/** An alias repeats the nodes of its anchor: a text may have as many nodes as characters, and these in addition. */
const EXTRA_NODES = 10_000;

/**
 * The data of a YAML text. Takes time linear in the text, unlike the library's conversion, its search for duplicate keys
 * and its resolution of aliases.
 */
export function readYaml(text: string): YamlData {
  const lines = new LineCounter();
  const positionOf = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${Math.max(1, line)}:${Math.max(1, col)}`;
  };
  const failed = (errors: YamlError[]): YamlData => ({ data: null, errors, offsetOf: () => 0, positionOf });
  try {
    const document = parseDocument(text, {
      lineCounter: lines,
      prettyErrors: false,
      schema: 'core',
      uniqueKeys: false,
    });
    // A warning is a tag or a directive that the library ignores.
    const errors = [...document.errors, ...document.warnings].map(({ pos, code, message }) => ({
      offset: pos[0],
      message: MESSAGES[code] ?? message,
    }));
    const tooDeep = errors.filter(({ message }) => STACK_OVERFLOW.test(message));
    if (tooDeep.length > 0)
      return failed(tooDeep.slice(-1).map(({ offset }) => ({ offset, message: TOO_DEEP })));
    if (errors.length > 0) return failed(errors);
    const converter = new Converter(text.length + EXTRA_NODES);
    const data = converter.convert(document.contents, 0);
    return { data, errors: converter.errors, offsetOf: (path) => converter.offsetOf(data, path), positionOf };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return {
      data: null,
      errors: [{ offset: 0, message: TOO_DEEP }],
      offsetOf: () => 0,
      positionOf: () => '1:1',
    };
  }
}

const TOO_DEEP = `nested too deeply; at most ${MAX_DEPTH} levels are allowed`;

/** Instead of the library's messages, which address programmers. */
const MESSAGES: { readonly [code: string]: string } = {
  MULTIPLE_DOCS: 'a second document starts here; the file must contain one',
};

/** The library reports its own stack overflow as an error of the text. */
const STACK_OVERFLOW = /^Maximum call stack|: Stack overflow$/;

/** Control characters end a text for HAProxy and in file names; half a surrogate pair has no UTF-8. */
const FORBIDDEN_CHARACTER = /(?![\t\n\r])[\p{Cc}\p{Cs}]/u;

type Offsets = Map<PropertyKey, number>;

interface Anchored {
  /** Undefined while the node is being converted. */
  value: { data: unknown; size: number } | undefined;
}

class Converter {
  readonly errors: YamlError[] = [];
  readonly #maxNodes: number;
  readonly #anchors = new Map<string, Anchored>();
  readonly #offsets = new WeakMap<object, Offsets>();
  /** Nodes converted so far, those that aliases repeat included. */
  #nodes = 0;

  constructor(maxNodes: number) {
    this.#maxNodes = maxNodes;
  }

  convert(node: unknown, depth: number): unknown {
    if (!isNode(node)) return null;
    this.#nodes++;
    if (isAlias(node)) return this.#alias(node.source, offsetOfNode(node));
    if (depth > MAX_DEPTH) return this.#fail(node, TOO_DEEP);
    const anchored: Anchored = { value: undefined };
    const { anchor } = node;
    if (anchor !== undefined) this.#anchors.set(anchor, anchored);
    const before = this.#nodes;
    const data = this.#value(node, depth);
    anchored.value = { data, size: this.#nodes - before + 1 };
    return data;
  }

  offsetOf(data: unknown, path: readonly PropertyKey[]): number {
    let value = data;
    let offset = 0;
    for (const part of path) {
      if (typeof value !== 'object' || value === null) break;
      const own = this.#offsets.get(value)?.get(part);
      if (own === undefined) break;
      offset = own;
      value = (value as Record<PropertyKey, unknown>)[part];
    }
    return offset;
  }

  #value(node: Node, depth: number): unknown {
    if (isScalar(node)) return this.#text(node, node.value);
    const offsets: Offsets = new Map();
    if (isSeq(node)) {
      const list = node.items.map((item, index) => {
        offsets.set(index, offsetOfNode(item));
        return this.convert(item, depth + 1);
      });
      this.#offsets.set(list, offsets);
      return list;
    }
    const map: Record<string, unknown> = {};
    this.#offsets.set(map, offsets);
    if (isMap(node)) for (const pair of node.items) this.#entry(map, offsets, pair, depth);
    return map;
  }

  #entry(map: Record<string, unknown>, offsets: Offsets, { key, value }: Pair, depth: number): void {
    if (!isScalar(key)) {
      this.#fail(key, 'a key must be text');
      return;
    }
    const name = String(this.#text(key, key.value) ?? '');
    if (name === '__proto__') this.#fail(key, '__proto__ is not allowed as a key');
    else if (offsets.has(name)) this.#fail(key, 'Map keys must be unique');
    else {
      offsets.set(name, offsetOfNode(key));
      map[name] = this.convert(value, depth + 1);
    }
  }

  #text(node: Node, value: unknown): unknown {
    const found = typeof value === 'string' ? FORBIDDEN_CHARACTER.exec(value)?.[0] : undefined;
    if (found === undefined) return value;
    const code = found.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0');
    return this.#fail(node, `the character U+${code} is not allowed`);
  }

  #alias(source: string, offset: number): unknown {
    const anchored = this.#anchors.get(source);
    if (!anchored) {
      const message = `no anchor &${source} before the alias *${source}; put text that starts with * in quotes`;
      return this.#fail(offset, message);
    }
    if (!anchored.value) return this.#fail(offset, `the alias *${source} is inside its own anchor`);
    this.#nodes += anchored.value.size;
    if (this.#nodes <= this.#maxNodes) return anchored.value.data;
    return this.#fail(
      offset,
      `the aliases up to *${source} repeat too much: more values than the text has characters`,
    );
  }

  #fail(at: unknown, message: string): null {
    this.errors.push({ offset: typeof at === 'number' ? at : offsetOfNode(at), message });
    return null;
  }
}

const offsetOfNode = (node: unknown): number => (isNode(node) ? (node.range?.[0] ?? 0) : 0);
