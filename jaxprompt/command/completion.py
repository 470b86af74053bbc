"""`completion`: a script by which a shell completes commands, flags and gin files."""

import argparse
from collections.abc import Iterator, Mapping

from jaxprompt.command.gin_files import gin_files
from jaxprompt.command.parser import GIN
from jaxprompt.screen.terminal import say_lines

SHELLS = ("bash", "zsh", "fish")

_BASH = """\
_jaxprompt() {{
    local word=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}}
    # A shell breaks --flag=value in three.
    [ "$before" = = ] && before=${{COMP_WORDS[COMP_CWORD-2]}}
    [ "$word" = = ] && before=${{COMP_WORDS[COMP_CWORD-1]}} word=
    local words=
    if [ "$COMP_CWORD" = 1 ]; then
        words="{commands}"
    elif [ "$before" = --gin_file ]; then
        words="{files}"
    else
        case ${{COMP_WORDS[1]}} in
{cases}
        esac
        # The value of a flag is a file, which the shell completes.
        case " $words " in *" $before= "*) words= ;; esac
    fi
    COMPREPLY=($(compgen -W "$words" -- "$word"))
    case ${{COMPREPLY[0]}} in *=) compopt -o nospace 2>/dev/null ;; esac
}}
complete -o default -F _jaxprompt jaxprompt
"""

_ZSH = "#compdef jaxprompt\nautoload -U +X bashcompinit && bashcompinit\n"
"""zsh reads what bash does, behind these lines."""


def print_completion(parser: argparse.ArgumentParser, shell: str) -> None:
    """Prints the script.

    Args:
        parser: Of all commands.
        shell: "bash", "zsh" or "fish".
    """
    commands = _commands(parser)
    say_lines(_fish(commands) if shell == "fish" else _bash(commands, shell))


def _bash(commands: Mapping[str, argparse.ArgumentParser], shell: str) -> str:
    cases = "\n".join(
        f'            {name}) words="{" ".join(_words(command))}" ;;'
        for name, command in commands.items()
    )
    script = _BASH.format(
        commands=" ".join(commands), files=" ".join(gin_files()), cases=cases
    )
    return (_ZSH if shell == "zsh" else "") + script.rstrip("\n")


def _fish(commands: Mapping[str, argparse.ArgumentParser]) -> str:
    lines = ["complete -c jaxprompt -n __fish_use_subcommand -f"]
    for name, command in commands.items():
        about = _fish_text(command.description or "")
        lines.append(
            f"complete -c jaxprompt -n __fish_use_subcommand -f -a {name} -d {about}"
        )
        here = f"complete -c jaxprompt -n '__fish_seen_subcommand_from {name}'"
        for word in _words(command):
            if not word.startswith("--"):
                lines.append(f"{here} -a {word}")
                continue
            flag = word.removeprefix("--").removesuffix("=")
            takes = " -r" if word.endswith("=") else ""
            files = " -a '" + " ".join(gin_files()) + "'" if flag == "gin_file" else ""
            lines.append(f"{here} -l {flag}{takes}{files}")
    return "\n".join(lines)


def _fish_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _commands(
    parser: argparse.ArgumentParser,
) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:
        if action.nargs == argparse.PARSER and isinstance(action.choices, dict):
            return action.choices
    return {}


def _words(command: argparse.ArgumentParser) -> Iterator[str]:
    """Yields the words that may stand behind a command; "--flag=" takes a value."""
    yield from _commands(command)
    for action in command._actions:
        if not action.option_strings and action.nargs != argparse.PARSER:
            yield from map(str, action.choices or ())
        flags = [x for x in action.option_strings if x.startswith("--")]
        if f"{GIN}NAME" in flags:
            yield from (f"{GIN}{name}=" for name in setting_names())
        elif flags:
            yield flags[0] + "=" * (action.nargs != 0)


def setting_names() -> list[str]:
    """Returns the names that `gin/runs/prompt_tuning.gin` sets, as "LEARNING_RATE"."""
    # It reads every setting, which takes too long for --help.
    from jaxprompt.command.names import default_names

    return sorted(default_names().values)
