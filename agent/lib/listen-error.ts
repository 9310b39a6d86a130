/** Why an address of the configuration cannot be listened on, for the person who wrote it. */
export function listenError(setting: string, bind: string, { code }: NodeJS.ErrnoException): Error {
  const why = code === 'EADDRINUSE' ? 'is taken by another process' : `cannot be used (${code})`;
  return new Error(`${setting}: ${bind} ${why}`);
}
