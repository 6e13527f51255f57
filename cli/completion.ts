/** `standby completion`: what a shell offers at the tab key, from the commands themselves. */
import { Argument, type Command } from 'commander';
import { print } from './output';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

interface Words {
  readonly path: string;
  readonly offers: readonly { readonly word: string; readonly says: string }[];
}

/** @returns for each command what may follow it. */
function wordsOf(command: Command, path: readonly string[] = []): Words[] {
  const children = command.commands.filter((child) => child.name() !== 'help');
  const commands = children.map((child) => ({ word: child.name(), says: child.description() }));
  const options = command.options.flatMap(({ long, description }) => (long ? [{ word: long, says: description }] : []));
  const values = command.registeredArguments.flatMap(({ argChoices }) =>
    (argChoices ?? []).map((word) => ({ word, says: '' })),
  );
  const own = { path: path.join(' '), offers: [...commands, ...values, ...options, { word: '--help', says: 'help' }] };
  return [own, ...children.flatMap((child) => wordsOf(child, [...path, child.name()]))];
}

/** Values of options are the same wherever they stand. */
const optionValues = { '--from': 'prod intg', '--to': 'prod intg', '--database': 'prod replica restored imported' };
const files = '--plan|--save';

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;

function bash(words: readonly Words[]): string {
  const cases = words.map(
    ({ path, offers }) => `    ${quoted(path)}) words=${quoted(offers.map(({ word }) => word).join(' '))} ;;`,
  );
  const values = Object.entries(optionValues).map(([option, value]) => `    ${option}) words=${quoted(value)} ;;`);
  return `_standby() {
  local current="\${COMP_WORDS[COMP_CWORD]}" before="\${COMP_WORDS[COMP_CWORD-1]}" path='' words='' word
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) case " ${words
      .map(({ path }) => path)
      .filter(Boolean)
      .join(',')}," in *"\${path:+$path }$word"[,\\ ]*) path="\${path:+$path }$word" ;; esac ;; esac
  done
  case "$before" in
    ${files}) COMPREPLY=($(compgen -f -- "$current")); return ;;
${values.join('\n')}
    *) case "$path" in
${cases.join('\n')}
    esac ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -F _standby standby`;
}

function fish(words: readonly Words[]): string {
  const top = words[0]!.offers.map(({ word }) => word).filter((word) => !word.startsWith('-'));
  const lines = words.flatMap(({ path, offers }) => {
    const at = path
      ? path
          .split(' ')
          .map((name) => `__fish_seen_subcommand_from ${name}`)
          .join('; and ')
      : `not __fish_seen_subcommand_from ${top.join(' ')}`;
    return offers.map(({ word, says }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-a ${word}`;
      return `complete -c standby -f -n ${quoted(at)} ${what} -d ${quoted(says.split('\n')[0] ?? '')}`;
    });
  });
  return lines.join('\n');
}

const scripts: Readonly<Record<Shell, (words: readonly Words[]) => string>> = {
  bash,
  zsh: (words) => `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`,
  fish,
};

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('completion for your shell')
    .addArgument(new Argument('<shell>', 'your shell').choices(shells))
    .addHelpText(
      'after',
      '\nExamples:\n  source <(standby completion bash)\n  standby completion fish > ~/.config/fish/completions/standby.fish',
    )
    .action((shell: Shell) => print(scripts[shell](wordsOf(program))));
}
