import { Argument, type Command } from 'commander';
import type { Terminal } from '../terminal.ts';

export function addCompletion(program: Command, terminal: Terminal): void {
  program
    .command('completion')
    .description('print a script that completes commands and options')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh']))
    .addHelpText('after', '\nExample:\n  source <(tallystick completion bash)')
    .action((shell: 'bash' | 'zsh') => {
      const script = completionScript(program, shell);
      terminal.show({ json: { shell, script }, text: script });
    });
}

function completionScript(program: Command, shell: 'bash' | 'zsh'): string {
  const global = program.options.flatMap((option) => option.long ?? []);
  const cases: string[] = [];
  const collect = (command: Command, path: string): void => {
    const words = [
      ...command.commands.map((child) => child.name()),
      ...command.options.flatMap((option) => option.long ?? []),
      ...global,
      '--help',
    ];
    cases.push(`    "${path}") words="${[...new Set(words)].join(' ')}" ;;`);
    for (const child of command.commands) collect(child, path === '' ? child.name() : `${path} ${child.name()}`);
  };
  collect(program, '');
  const groups = program.commands.filter((command) => command.commands.length > 0).map((command) => command.name());
  return [
    ...(shell === 'zsh' ? ['autoload -U +X bashcompinit && bashcompinit'] : []),
    '_tallystick() {',
    '  local path="" word words=""',
    // Values of options may be taken for commands; the worst that follows is no proposal.
    `  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
    '    case "$word" in -*) continue ;; esac',
    '    if [ -z "$path" ]; then path="$word"',
    `    else case "$path" in ${groups.length === 0 ? '""' : groups.join('|')}) path="$path $word" ;; esac; fi`,
    '  done',
    '  case "$path" in',
    ...cases,
    '  esac',
    `  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
    '}',
    'complete -F _tallystick tallystick',
  ].join('\n');
}
