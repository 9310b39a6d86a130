/** When each command was last sent and how long to wait before it is sent again. */
export type CommandHistory = ReadonlyMap<string, { at: number; waitMs: number }>;

const FIRST_MS = 1_000;
const LONGEST_MS = 60_000;
/** The longest pause between rounds. A command repeated later than this after its wait starts again at FIRST_MS. */
const ROUND_MS = 5_000;
const MAX_COMMANDS = 10_000;

/**
 * The items whose command may be sent now. The same command waits longer each time it is repeated, so two agents that
 * control the same HAProxy do not undo each other's commands without end.
 */
export function applyCommandBackoff<T>(
  history: CommandHistory,
  items: readonly T[],
  commandOf: (item: T) => string,
  now: number,
): { allowed: T[]; history: CommandHistory } {
  const next = new Map(history);
  const allowed = items.filter((item) => {
    const command = commandOf(item);
    const last = next.get(command);
    const since = last ? now - last.at : 0;
    if (last && since < last.waitMs) return false;
    if (next.size >= MAX_COMMANDS) next.clear();
    const repeated = last && since < 2 * last.waitMs + ROUND_MS;
    next.set(command, { at: now, waitMs: repeated ? Math.min(2 * last.waitMs, LONGEST_MS) : FIRST_MS });
    return true;
  });
  return { allowed, history: next };
}
