export interface StackOptions {
  config: string;
  demo: boolean;
  embedded: boolean;
  noInstall: boolean;
  portOffset: number;
  stateDir: string;
  kvLagMs: number;
  kvDown: boolean;
  simulateClients: boolean;
  edge: 'miniflare' | 'wrangler';
  help: boolean;
}
export class UsageError extends Error {}
export const HELP: string;
export function parseOptions(argv: readonly string[], env?: NodeJS.ProcessEnv): StackOptions;
