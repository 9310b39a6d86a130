import type { Command, Option } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

export interface Completion {
  value: string;
  description: string;
}

/** Completions for the last of `words`, the command line so far without the program's name. */
export async function complete(
  program: Command,
  words: readonly string[],
  live: { services(): Promise<string[]>; instances(service: string): Promise<string[]> },
): Promise<Completion[]> {
  const typed = words.at(-1) ?? '';
  let command = program;
  const positionals: string[] = [];
  // The option whose value comes next.
  let pendingOption: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (pendingOption) {
      pendingOption = undefined;
      continue;
    }
    const subcommand = command.commands.find((candidate) => candidate.name() === word);
    if (subcommand && positionals.length === 0) command = subcommand;
    else if (!word.startsWith('-')) positionals.push(word);
    else
      pendingOption = [...command.options, ...program.options].find(
        (option) => option.required && [option.short, option.long].includes(word),
      );
  }
  if (pendingOption)
    return plain(pendingOption.argChoices ?? []).filter(({ value }) => value.startsWith(typed));
  const options = [...command.options, ...(command === program ? [] : program.options)]
    .filter((option) => !option.hidden && option.long)
    .map(({ long, description }) => ({ value: long ?? '', description: description }));
  const argument = command.registeredArguments[positionals.length];
  const wanted = argument?.name();
  const named = async (): Promise<Completion[]> => {
    if (command.commands.length > 0) {
      return command.commands
        .filter((candidate) => !candidate.name().startsWith('_'))
        .map((candidate) => ({
          value: candidate.name(),
          description: candidate.summary() || candidate.description(),
        }));
    }
    if (wanted === 'service') return plain(await live.services());
    if (wanted === 'instance' && positionals[0]) return plain(await live.instances(positionals[0]));
    return plain(argument?.argChoices ?? []);
  };
  const all = typed.startsWith('-') ? options : await named();
  return all.filter(({ value }) => value.startsWith(typed));
}

const plain = (values: readonly string[]): Completion[] =>
  values.map((value) => ({ value, description: '' }));

/** Each script calls `acgs-lb __complete`, so that services and instances come from the running agent. */
export const SCRIPTS: Record<Shell, string> = {
  bash: `# acgs-lb completion for bash. Load it:  source <(acgs-lb completion bash)
_acgs_lb() {
  local IFS=$'\\n'
  COMPREPLY=($("\${COMP_WORDS[0]}" __complete -- "\${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null | cut -f1))
  if [ \${#COMPREPLY[@]} -eq 0 ]; then COMPREPLY=($(compgen -f -- "\${COMP_WORDS[COMP_CWORD]}")); fi
}
complete -F _acgs_lb acgs-lb
`,
  zsh: `#compdef acgs-lb
# acgs-lb completion for zsh. Load it:  source <(acgs-lb completion zsh)
_acgs_lb() {
  local -a found
  local line about
  for line in \${(f)"$("\${words[1]}" __complete -- "\${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
    about=
    [[ $line == *$'\\t'* ]] && about=":\${line#*$'\\t'}"
    found+=("\${\${line%%$'\\t'*}//:/\\\\:}$about")
  done
  if (( \${#found} )); then _describe 'acgs-lb' found; else _files; fi
}
compdef _acgs_lb acgs-lb
`,
  fish: `# acgs-lb completion for fish. Load it:  acgs-lb completion fish | source
function __acgs_lb
  set -l words (commandline -opc) (commandline -ct)
  $words[1] __complete -- $words[2..-1] 2>/dev/null
end
complete -c acgs-lb -f -a '(__acgs_lb)'
complete -c acgs-lb -s c -l config -r -F
`,
};
