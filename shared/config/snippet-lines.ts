/** `file:line` of a line in a snippet of the file; null when the position is unknown. */
export type FindSnippetLine = (path: readonly string[], index: number) => string | null;

/**
 * Where the snippets of a configuration are in its text. It is not a part of the configuration, because moving a snippet
 * does not change the configuration.
 */
const byExtra = new WeakMap<object, FindSnippetLine>();

export interface SnippetText {
  fileName: string;
  text: string;
  /** From 1; the line of the key. */
  lineOf(path: readonly string[]): number;
}

/** Remembers the text that `extra`, the section `haproxy.extra` of a configuration, was read from. */
export function rememberSnippetLines(extra: object, { fileName, text, lineOf }: SnippetText): void {
  const lines = text.split('\n');
  byExtra.set(extra, (path, index) => {
    const key = lineOf(path);
    // The content of a block scalar starts below its key.
    const isBlock = /[|>][0-9+-]*\s*(?:#.*)?$/.test(lines[key - 1] ?? '');
    return `${fileName}:${isBlock ? key + 1 + index : key}`;
  });
}

export const snippetLineOf = (extra: object, path: readonly string[], index: number): string | null =>
  byExtra.get(extra)?.(path, index) ?? null;
