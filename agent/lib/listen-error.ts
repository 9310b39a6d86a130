/** The error for a configured address on which the agent cannot listen. */
export function listenError(setting: string, bind: string, { code }: NodeJS.ErrnoException): Error {
  const why = code === 'EADDRINUSE' ? 'is in use by another process' : `cannot be used (${code})`;
  return new Error(`${setting}: ${bind} ${why}`);
}
