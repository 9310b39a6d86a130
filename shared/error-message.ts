/** The message of anything thrown; the code or the name of an Error without a message, such as an AggregateError. */
export function errorMessage(error: unknown): string {
  if (!(error instanceof Error)) return thrownText(error);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  return error.message || code || error.name;
}

/** WebAssembly and other threads throw plain objects, such as `{ name: 'ErrnoError', errno: 51 }`. */
function thrownText(thrown: unknown): string {
  if (typeof thrown !== 'object' || thrown === null) return String(thrown);
  if ('message' in thrown && typeof thrown.message === 'string') return thrown.message;
  try {
    return JSON.stringify(thrown).slice(0, 500);
  } catch {
    return Object.prototype.toString.call(thrown);
  }
}
