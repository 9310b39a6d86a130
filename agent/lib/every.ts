/** Calls `work` every `ms` until the returned function is called. Work that throws is a bug and ends the process. */
export function every(ms: number, work: () => void): () => void {
  const timer = setInterval(work, ms);
  return () => clearInterval(timer);
}
