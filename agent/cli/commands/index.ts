import type { Command } from 'commander';

interface CommandModule {
  /** The commands that the module registers, each with its line in `--help`. */
  lines: Readonly<Record<string, string>>;
  register(program: Command): Promise<void>;
}

interface CommandGroup {
  heading: string;
  modules: readonly CommandModule[];
}

const SEE: CommandGroup = {
  heading: 'See what happens',
  modules: [
    {
      lines: { status: 'the state of the system: alerts, traffic, instances' },
      register: async (program) => (await import('./status.ts')).registerStatus(program),
    },
    {
      lines: { events: 'changes of instances and configuration, now or in the past' },
      register: async (program) => (await import('./events.ts')).registerEvents(program),
    },
    {
      lines: { history: 'figures of a service or an instance over time' },
      register: async (program) => (await import('./history.ts')).registerHistory(program),
    },
    {
      lines: { explain: 'which instance a request would get, and why' },
      register: async (program) => (await import('./explain.ts')).registerExplain(program),
    },
    {
      lines: { trace: 'what happened to a request' },
      register: async (program) => (await import('./trace.ts')).registerTrace(program),
    },
    {
      lines: { alerts: 'list, acknowledge and silence alerts; test the receivers' },
      register: async (program) => (await import('./alerts.ts')).registerAlerts(program),
    },
    {
      lines: { report: 'a period: availability, latency, budget, incidents' },
      register: async (program) => (await import('./report.ts')).registerReport(program),
    },
    {
      lines: { capacity: 'the load of a month, and a forecast of the next three' },
      register: async (program) => (await import('./capacity.ts')).registerCapacity(program),
    },
  ],
};

const STEER: CommandGroup = {
  heading: 'Steer traffic',
  modules: [
    {
      lines: {
        drain: 'send no new sessions to an instance',
        ready: 'end drain or maintenance of an instance',
        maint: 'send no traffic to an instance',
        weight: "set an instance's share of the traffic",
      },
      register: async (program) => (await import('./instance-admin.ts')).registerInstanceAdmin(program),
    },
    {
      lines: { rollout: 'deploy to one instance after another, each drained' },
      register: async (program) => (await import('./rollout.ts')).registerRollout(program),
    },
    {
      lines: {
        register: 'add an instance at run time',
        deregister: 'remove an instance that was added at run time',
        heartbeat: 'extend the registration of an instance',
      },
      register: async (program) => (await import('./registry.ts')).registerRegistry(program),
    },
    {
      lines: { sessions: 'governance sessions: create, advance, move, list' },
      register: async (program) => (await import('./sessions.ts')).registerSessions(program),
    },
    {
      lines: { publish: 'publish the snapshot to the edge now' },
      register: async (program) => (await import('./publish.ts')).registerPublish(program),
    },
  ],
};

const CONFIGURE: CommandGroup = {
  heading: 'Configure',
  modules: [
    {
      lines: { import: 'propose an acgs-lb.yaml for an existing haproxy.cfg' },
      register: async (program) => (await import('./import.ts')).registerImport(program),
    },
    {
      lines: { apply: 'apply a configuration to the running agent, or go back' },
      register: async (program) => (await import('./apply.ts')).registerApply(program),
    },
    {
      lines: { render: 'print or install the configuration of HAProxy' },
      register: async (program) => (await import('./render.ts')).registerRender(program),
    },
    {
      lines: { keys: 'create and rotate keys and secrets' },
      register: async (program) => (await import('./keys.ts')).registerKeys(program),
    },
    {
      lines: { completion: 'print the completion script of your shell' },
      register: async (program) => (await import('./completion.ts')).registerCompletion(program),
    },
  ],
};

const RUN: CommandGroup = {
  heading: 'Run',
  modules: [
    {
      lines: {
        agent: 'run the agent until SIGTERM or Ctrl-C',
        up: 'run the whole system on this machine (in a checkout)',
      },
      register: async (program) => (await import('./run.ts')).registerRun(program),
    },
    {
      lines: { edge: 'run the edge on this host, or deploy it to Cloudflare' },
      register: async (program) => (await import('./edge.ts')).registerEdge(program),
    },
    {
      lines: { migrate: 'migrate the history database to the latest schema' },
      register: async (program) => (await import('./migrate.ts')).registerMigrate(program),
    },
    {
      lines: { maintain: 'roll up the history and drop what is too old' },
      register: async (program) => (await import('./maintain.ts')).registerMaintain(program),
    },
    {
      lines: { backup: 'back up configuration and history' },
      register: async (program) => (await import('./backup.ts')).registerBackup(program),
    },
    {
      lines: { restore: 'restore backups' },
      register: async (program) => (await import('./restore.ts')).registerRestore(program),
    },
    {
      lines: { release: "return all servers to HAProxy's own checks" },
      register: async (program) => (await import('./release.ts')).registerRelease(program),
    },
  ],
};

const CHECK: CommandGroup = {
  heading: 'Check',
  modules: [
    {
      lines: { doctor: 'check the installation and show how to fix each problem' },
      register: async (program) => (await import('./doctor.ts')).registerDoctor(program),
    },
    {
      lines: { check: 'validate a configuration and list all errors' },
      register: async (program) => (await import('./check.ts')).registerCheck(program),
    },
    {
      lines: { help: 'show the options and examples of a command' },
      register: async (program) => (await import('./help.ts')).registerHelp(program),
    },
  ],
};

/** In the order of `--help`. */
const GROUPS = [SEE, STEER, CONFIGURE, RUN, CHECK];
/** They describe or complete all commands. */
const NEED_ALL = new Set(['completion', '__complete']);

/**
 * Registers the command that the arguments name. The others get only their line, for the list of commands and for
 * suggestions when a name is unknown: loading all of them takes several times as long as starting Node. Without `argv`,
 * registers all commands.
 */
export async function registerCommands(program: Command, argv?: readonly string[]): Promise<void> {
  const named = argv ? commandNames(argv) : [];
  const wanted = new Set(named[0] === 'help' ? named.slice(0, 2) : named.slice(0, 1));
  const all = argv === undefined || NEED_ALL.has(named[0] ?? '');
  const modules = GROUPS.flatMap((group) =>
    group.modules.map((module) => ({ module, heading: group.heading })),
  );
  const isWanted = ({ lines }: CommandModule): boolean => Object.keys(lines).some((name) => wanted.has(name));
  const listsOthers = wanted.has('help') || !modules.some(({ module }) => isWanted(module));
  for (const { module, heading } of modules) {
    if (all || isWanted(module)) await module.register(program);
    else if (listsOthers) for (const name of Object.keys(module.lines)) program.command(name);
    describe(program, module, heading);
  }
}

function describe(program: Command, { lines }: CommandModule, heading: string): void {
  for (const [name, line] of Object.entries(lines)) {
    const command = program.commands.find((one) => one.name() === name);
    command?.summary(line).helpGroup(`${heading}:`);
  }
}

/** The arguments without the program's options. Empty after `--help`, which then belongs to the program. */
function commandNames(argv: readonly string[]): string[] {
  const names = argv.filter((one, at) => !one.startsWith('-') && argv[at - 1] !== '--state-dir');
  const before = argv.slice(0, names[0] === undefined ? argv.length : argv.indexOf(names[0]));
  return before.some((one) => one === '--help' || one === '-h') ? [] : names;
}
