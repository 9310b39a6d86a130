const UNIT_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** `250ms 10s 5m 1h 30d` in milliseconds; null when the text is not a duration. */
export function parseDuration(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text);
  if (!match) return null;
  return Number(match[1]) * UNIT_MS[match[2] as keyof typeof UNIT_MS];
}

/** Milliseconds as the file writes them, in the largest unit that divides them: 60,000 is `1m`, 90,000 is `90s`. */
export function durationText(ms: number): string {
  const unit = (['d', 'h', 'm', 's'] as const).find(
    (name) => ms >= UNIT_MS[name] && ms % UNIT_MS[name] === 0,
  );
  if (unit) return `${ms / UNIT_MS[unit]}${unit}`;
  return ms === 0 ? '0s' : `${ms}ms`;
}
