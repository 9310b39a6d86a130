import type { Command } from 'commander';

/**
 * The modules of the commands in the order of `--help`, each with the names that it registers. Loading all of them takes
 * several times as long as starting Node.
 */
const MODULES: readonly (readonly [
  names: readonly string[],
  register: (program: Command) => Promise<void>,
])[] = [
  [['status'], async (program) => (await import('./status.ts')).registerStatus(program)],
  [['events'], async (program) => (await import('./events.ts')).registerEvents(program)],
  [['explain'], async (program) => (await import('./explain.ts')).registerExplain(program)],
  [
    ['drain', 'ready', 'maint', 'weight'],
    async (program) => (await import('./instance-admin.ts')).registerInstanceAdmin(program),
  ],
  [['rollout'], async (program) => (await import('./rollout.ts')).registerRollout(program)],
  [
    ['register', 'deregister', 'heartbeat'],
    async (program) => (await import('./registry.ts')).registerRegistry(program),
  ],
  [['sessions'], async (program) => (await import('./sessions.ts')).registerSessions(program)],
  [['alerts'], async (program) => (await import('./alerts.ts')).registerAlerts(program)],
  [['report'], async (program) => (await import('./report.ts')).registerReport(program)],
  [['capacity'], async (program) => (await import('./capacity.ts')).registerCapacity(program)],
  [['maintain'], async (program) => (await import('./maintain.ts')).registerMaintain(program)],
  [['backup'], async (program) => (await import('./backup.ts')).registerBackup(program)],
  [['restore'], async (program) => (await import('./restore.ts')).registerRestore(program)],
  [['doctor'], async (program) => (await import('./doctor.ts')).registerDoctor(program)],
  [['check'], async (program) => (await import('./check.ts')).registerCheck(program)],
  [['apply'], async (program) => (await import('./apply.ts')).registerApply(program)],
  [['render'], async (program) => (await import('./render.ts')).registerRender(program)],
  [['publish'], async (program) => (await import('./publish.ts')).registerPublish(program)],
  [['keys'], async (program) => (await import('./keys.ts')).registerKeys(program)],
  [['migrate'], async (program) => (await import('./migrate.ts')).registerMigrate(program)],
  [['release'], async (program) => (await import('./release.ts')).registerRelease(program)],
  [['agent', 'up'], async (program) => (await import('./run.ts')).registerRun(program)],
  [['edge'], async (program) => (await import('./edge.ts')).registerEdge(program)],
  [['completion'], async (program) => (await import('./completion.ts')).registerCompletion(program)],
];

/** Registers the command that the arguments name; all commands for help, completion and unknown names. */
export async function registerCommands(program: Command, argv: readonly string[]): Promise<void> {
  const name = commandName(argv);
  const only = name === 'completion' ? undefined : MODULES.find(([names]) => names.includes(name));
  for (const [, register] of only ? [only] : MODULES) await register(program);
}

/** The first argument that is no program option; empty when there is none. */
function commandName(argv: readonly string[]): string {
  const index = argv.findIndex((one, at) => !one.startsWith('-') && argv[at - 1] !== '--state-dir');
  const before = argv.slice(0, Math.max(0, index));
  return before.some((one) => one === '--help' || one === '-h') ? '' : (argv[index] ?? '');
}
