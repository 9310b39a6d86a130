/** Connects a part to one that is created later: `emit` calls every subscriber. */
export interface Signal {
  emit(): void;
  subscribe(handler: () => void): void;
}

export function createSignal(): Signal {
  const handlers: (() => void)[] = [];
  return {
    emit() {
      for (const handler of handlers) handler();
    },
    subscribe: (handler) => void handlers.push(handler),
  };
}
