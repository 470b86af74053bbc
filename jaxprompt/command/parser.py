"""argparse's parser, which says what a misspelt flag or command may have meant."""

import argparse
import platform
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from jaxprompt.screen.suggest import closest, did_you_mean
from jaxprompt.screen.terminal import say
from jaxprompt.startup import versions

GIN = "--gin."
"""What flags begin with that set a name of the gin files."""


class Parser(argparse.ArgumentParser):
    """A parser that looks at all flags before it asks for those that are missing.

    What it parses has `called`, the command as "jaxprompt train"; `line`, the whole
    command line; `settings`, "NAME=value" of each "--gin.NAME=value" or "--gin.NAME
    value", in order; and `quick`, whether the command needs no JAX.

    Attributes:
        names_of_settings: Of a command that takes gin settings, what lists their names.
    """

    names_of_settings: Callable[[], Sequence[str]] | None = None

    def __init__(self, **options: Any):
        super().__init__(**options, allow_abbrev=False)
        self.set_defaults(called=self.prog, line="", settings=[], quick=False)

    def parse_known_args(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parses as argparse does, of a command's flags the gin settings first."""
        if self._starts_others:
            args = self._with_command(sys.argv[1:] if args is None else args)
            return super().parse_known_args(args, namespace)
        if args is None:
            return super().parse_known_args(args, namespace)
        others, settings = self._without_settings(args)
        self._check_flags(others)
        flags, rest = super().parse_known_args(others, namespace)
        flags.settings, flags.line = settings, f"{self.prog} {shlex.join(args)}"
        return flags, rest

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuses a command that is not there, or a value that is none of a flag's."""
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        flags = [flag.lstrip("-") for flag in self._option_string_actions]
        if action.nargs == argparse.PARSER and value in flags:
            self.error(f"no {str(action.metavar).lower()} {value!r}: write --{value}")
        meant = did_you_mean(str(value), known) or f"use one of {', '.join(known)}"
        if action.nargs == argparse.PARSER:
            self.error(f"no {str(action.metavar).lower()} {value!r}: {meant}")
        name = "/".join(action.option_strings) or action.metavar
        self.error(f"{name} is {value!r}: {meant}")

    @property
    def _takes_gin(self) -> bool:
        return "--gin_file" in self._option_string_actions

    @property
    def _starts_others(self) -> bool:
        """Whether it hands what it is given to the parsers of commands."""
        return any(action.nargs == argparse.PARSER for action in self._actions)

    def _with_command(self, args: Sequence[str]) -> Sequence[str]:
        """Checks what stands before the name of a command; "help" is "--help"."""
        if not args:
            return args
        if args[0] == "help":
            return [*args[1:], "--help"]
        name = args[0].partition("=")[0]
        if name.startswith("-") and name not in self._option_string_actions:
            meant = closest(name, self._option_string_actions, alike=0.75)
            hint = f"did you mean {meant}?" if meant else "flags stand behind a command"
            self.error(f"unknown flag {name} of {self.prog}: {hint}")
        return args

    def _without_settings(self, args: Sequence[str]) -> tuple[list[str], list[str]]:
        """Returns the arguments without gin settings, and these."""
        others: list[str] = []
        settings: list[str] = []
        left = list(args) if self._takes_gin else []
        while left and left[0] != "--":
            arg = left.pop(0)
            if not arg.startswith(GIN):
                others.append(arg)
                continue
            if "=" not in arg and left and not left[0].startswith("--"):
                arg = f"{arg}={left.pop(0)}"
            settings.append(arg.removeprefix(GIN))
        return [*others, *(left if self._takes_gin else args)], settings

    def _check_flags(self, args: Sequence[str]) -> None:
        """Ends the program with an error at a flag that is misspelt or unknown."""
        known = self._option_string_actions
        takes_texts = not all(action.option_strings for action in self._actions)
        for before, arg in zip(["", *args], args, strict=False):
            name = arg.partition("=")[0]
            if arg == "--":
                return
            if re.match("--|-[a-zA-Z_]", arg) and name not in known:
                self._refuse(name)
            if takes_texts or before in known or arg.startswith("-"):
                continue
            if arg.endswith(".gin") and self._takes_gin:
                self.error(f"unknown argument {arg}: did you mean --gin_file={arg}?")
            if "=" in arg and (setting := self._setting(name)):
                self.error(f"unknown argument {arg}: did you mean {GIN}{setting}=...?")

    def _refuse(self, name: str) -> NoReturn:
        if name.startswith(GIN):
            self.error(f"unknown flag {name}: this command takes no gin settings")
        meant = closest(f"--{name.lstrip('-')}", self._option_string_actions, alike=0.7)
        setting = "NAME" if name == GIN.rstrip(".") else self._setting(name)
        if meant is None and setting is not None:
            meant = f"{GIN}{setting}=..."
        hint = f"did you mean {meant}?" if meant else f"see {self.prog} --help"
        self.error(f"unknown flag {name}: {hint}")

    def _setting(self, name: str) -> str | None:
        """Returns the gin setting that a name may mean, or None."""
        known = self.names_of_settings() if self.names_of_settings else ()
        return closest(name.lstrip("-"), known, alike=0.75)


class Version(argparse.Action):
    """Prints the versions of this program, JAX and Python, and ends the program."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> NoReturn:
        """Reads them only now: it takes a while."""
        say(f"{versions()}, Python {platform.python_version()}")
        parser.exit()
