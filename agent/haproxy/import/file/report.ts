import { modernLine } from './modern.ts';
import type { Statement } from './sections.ts';

/**
 * - `taken`: a key of acgs-lb.yaml replaces it, or acgs-lb does the same by itself
 * - `verbatim`: kept as it is, in `haproxy.extra` or in the operator's own file
 * - `cannot`: not part of the proposal
 */
export type LineFate = 'taken' | 'verbatim' | 'cannot';

export interface ImportedLine {
  /** From 1. */
  line: number;
  text: string;
  fate: LineFate;
  /** Where it is now, or why it is not taken over. */
  note: string;
}

/** What became of each line. A later entry for a line replaces an earlier one. */
export class ImportReport {
  readonly #lines = new Map<number, ImportedLine>();

  take(statement: Statement, note: string): void {
    this.#set(statement, 'taken', note);
  }

  keep(statement: Statement, place: string): void {
    const current = modernLine(statement.text);
    const isTranslated = current !== statement.text && place.startsWith('haproxy.extra');
    if (isTranslated) this.#set(statement, 'taken', `${place}, as ${current}`);
    else this.#set(statement, 'verbatim', place);
  }

  refuse(statement: Statement, why: string): void {
    this.#set(statement, 'cannot', why);
  }

  has(statement: Statement): boolean {
    return this.#lines.has(statement.line);
  }

  isTaken({ line }: Statement): boolean {
    return this.#lines.get(line)?.fate === 'taken';
  }

  merge(other: ImportReport): void {
    for (const [line, entry] of other.#lines) this.#lines.set(line, entry);
  }

  lines(): ImportedLine[] {
    return [...this.#lines.values()].sort((a, b) => a.line - b.line);
  }

  #set({ line, lines, text }: Statement, fate: LineFate, note: string): void {
    for (const [index, part] of text.split('\n').slice(0, lines).entries()) {
      if (part.trim() === '') continue;
      this.#lines.set(line + index, { line: line + index, text: part.trim(), fate, note });
    }
  }
}
