import { errorMessage } from '../../shared/error-message.ts';

/**
 * A watched file: the text that was reported last, and a new text that has been read once. A text is reported when two
 * reads agree, because a file may be read while it is being written.
 */
export interface WatchedFile {
  reported: string;
  readOnce: string | null;
}

/** The state after a read; null: the file could not be read. `changed` is a text to report. */
export function watchStep(
  { reported, readOnce }: WatchedFile,
  text: string | null,
): { state: WatchedFile; changed: string | null } {
  if (text === null || text === reported) return { state: { reported, readOnce: null }, changed: null };
  if (text === readOnce) return { state: { reported: text, readOnce: null }, changed: text };
  return { state: { reported, readOnce: text }, changed: null };
}

interface FileWatchOptions {
  /** The text that is in effect. */
  text: string;
  read: () => Promise<string>;
  onChange: (text: string) => Promise<void>;
  /** Called when the file becomes unreadable. */
  onUnreadable: (reason: string) => void;
  everyMs?: number;
}

const EVERY_MS = 1_000;

/**
 * Polls the file, because change notifications miss symlinks and network file systems. Returns a function that stops it.
 */
export function watchFile(options: FileWatchOptions): () => void {
  const { read, onChange, onUnreadable, everyMs = EVERY_MS } = options;
  let state: WatchedFile = { reported: options.text, readOnce: null };
  let isReadable = true;
  let isBusy = false;

  async function poll(): Promise<void> {
    const text = await read().catch((error: unknown) => {
      if (isReadable) onUnreadable(errorMessage(error));
      return null;
    });
    isReadable = text !== null;
    const next = watchStep(state, text);
    state = next.state;
    if (next.changed !== null) await onChange(next.changed);
  }

  const timer = setInterval(() => {
    if (isBusy) return;
    isBusy = true;
    void poll().finally(() => {
      isBusy = false;
    });
  }, everyMs);
  return () => clearInterval(timer);
}
