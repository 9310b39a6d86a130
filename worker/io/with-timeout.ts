/**
 * Rejects when `work` takes longer than `timeoutMs`. Only for calls that cannot be aborted (KV, Durable Objects): the
 * call itself goes on and its result is dropped. `what` names the call in the error.
 */
export async function withTimeout<T>(work: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  const timeout = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => timeout.reject(new Error(`${what} did not answer within ${timeoutMs} ms`)),
    timeoutMs,
  );
  try {
    return await Promise.race([work, timeout.promise]);
  } finally {
    clearTimeout(timer);
  }
}
