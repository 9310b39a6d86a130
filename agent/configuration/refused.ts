import { errorMessage } from '../../shared/error-message.ts';

/** Remembers that the agent refused the operator's file, until a configuration is accepted. */
export interface RefusedConfig {
  get(): { at: number; problem: string } | null;
  /** Remembers the outcome. */
  watch<T>(applied: Promise<T>): Promise<T>;
  /** Remembers only a success: a text from the API that is refused changes no file. */
  accepted<T>(applied: Promise<T>): Promise<T>;
}

export function createRefusedConfig(now: () => number = Date.now): RefusedConfig {
  let refused: { at: number; problem: string } | null = null;
  const accepted = async <T>(applied: Promise<T>): Promise<T> => {
    const result = await applied;
    refused = null;
    return result;
  };
  return {
    get: () => refused,
    async watch(applied) {
      try {
        return await accepted(applied);
      } catch (error) {
        refused = { at: now(), problem: errorMessage(error) };
        throw error;
      }
    },
    accepted,
  };
}
