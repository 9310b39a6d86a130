/** Runs asynchronous tasks one after another, in the order in which they were added. */
export interface SerialQueue {
  /** Resolves or rejects as the task does. A task that fails does not stop the next one. */
  add<T>(task: () => Promise<T>): Promise<T>;
  /** Resolves when every task added so far has ended. Never rejects. */
  idle(): Promise<void>;
}

export function createSerialQueue(): SerialQueue {
  let last: Promise<unknown> = Promise.resolve();
  return {
    add(task) {
      const result = last.then(task);
      last = result.catch(() => {});
      return result;
    },
    idle: () => last.then(() => {}),
  };
}
