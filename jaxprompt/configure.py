"""gin text -> Run: files and settings, checked before gin may act on them."""

import dataclasses
import difflib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import gin
from gin import config_parser

from jaxprompt.config import CONFIGURABLES, Run, Sweep

_PACKAGE = Path(__file__).parent
_FOLDERS = (Path(), _PACKAGE.parent, _PACKAGE)
"""Where gin files are looked for: here, in a checkout, in an installed package."""

_INCLUDE = re.compile(r"""^include\s+(["'])(.+?)\1""", re.MULTILINE)

_configurables: dict[str, Any] = {
    configurable.__name__: gin.external_configurable(
        configurable, name=configurable.__name__, module="jaxprompt"
    )
    for configurable in CONFIGURABLES
}


def configure(
    files: Sequence[str], settings: Sequence[str], *, start: str = ""
) -> tuple[Run, str]:
    """Reads gin: first the start, then the files in order, then the settings.

    gin keeps one configuration for the whole process; this replaces it.

    Args:
        files: gin files.
        settings: "NAME=value" each, as on the command line after "--gin.".
        start: gin text, as a prompt file holds it.

    Returns:
        The run, and its whole configuration as gin text.

    Raises:
        FileNotFoundError: If a file is nowhere.
        ValueError: If something is misspelt, unknown or of the wrong type. gin's own
            imports are refused: a configuration chooses values, it loads no code.
    """
    _load(files, settings, start)
    return _build_run()


def configure_seeds(
    files: Sequence[str], settings: Sequence[str]
) -> list[tuple[Run, str]]:
    """Reads gin as `configure` does, and makes the runs that train all its seeds.

    Prompts of several seeds are a bank, and so one run. Models share nothing: each of
    their seeds is a run of its own.

    Args:
        files: gin files.
        settings: "NAME=value" each.

    Returns:
        Runs and their configurations as gin text, by rising seed.

    Raises:
        FileNotFoundError: As `configure`.
        ValueError: As `configure`.
    """
    _load(files, settings)
    asked = _bindings("Run")
    first, seeds = asked.get("seed", 0), asked.get("seeds", 1)
    is_bank = asked.get("trains", "prompt") == "prompt"
    # A seed that is no number is told by the run's own checks.
    if is_bank or seeds == 1 or not {type(first), type(seeds)} <= {int}:
        return [_build_run()]
    return [
        configure(files, [*settings, f"SEED={seed}", "SEEDS=1"])
        for seed in range(first, first + seeds)
    ]


def configure_sweep(files: Sequence[str], settings: Sequence[str]) -> Sweep:
    """Reads the sweep of a recipe; its runs are configured one by one.

    Args:
        files: gin files.
        settings: "NAME=value" each.

    Raises:
        FileNotFoundError: As `configure`.
        ValueError: As `configure`; or if there is no sweep, or both it and the other
            files name tasks.
    """
    _load(files, settings)
    if "arms" not in _bindings("Sweep"):
        raise ValueError(
            f"no sweep in {', '.join(files)}: give a recipe that sets Sweep.arms, as "
            "--gin_file=gin/recipes/lester2021/figure3a_prompt_length.gin"
        )
    sweep = _build("Sweep")
    _check_types(sweep)
    task = _bindings("Data").get("task")
    if sweep.tasks and task is not None:
        raise ValueError(
            f"task {task.label} and {len(sweep.tasks)} files in Sweep.tasks: for "
            f'{task.label} alone add --gin.Sweep.tasks="[]", or leave its file out'
        )
    return sweep


def _load(files: Sequence[str], settings: Sequence[str], start: str = "") -> None:
    """Replaces gin's configuration by the start, the files and the settings."""
    gin.clear_config()
    names: set[str] = set()
    if start:
        start = _without_macro_scopes(start)
        names |= _read(start, "the configuration stored with the prompt")
    for file in files:
        path = _find(file)
        names |= _read(path.read_text(encoding="utf-8"), str(path))
    if not names:
        raise ValueError(
            "no configuration: give at least --gin_file=gin/runs/prompt_tuning.gin and "
            "a task, as --gin_file=gin/tasks/sst2.gin"
        )
    for setting in settings:
        _set(setting, names)


def _without_macro_scopes(config: str) -> str:
    """Lets later files change what stands behind a macro.

    gin writes what it found behind %TASK as TASK/OfficialTask.name, which would win
    over a later OfficialTask.name.
    """
    macros = re.findall(r"^(\w+) = ", config, re.MULTILINE)
    if not macros:
        return config
    return re.sub(rf"^({'|'.join(macros)})/", "", config, flags=re.MULTILINE)


def _build_run() -> tuple[Run, str]:
    """Makes the run from what was read; returns it and its operative configuration."""
    run = _build("Run")
    _check_types(run)
    return run, gin.operative_config_str()


def _build(name: str) -> Any:
    """Makes one of the configurables from what was read."""
    try:
        return _configurables[name]()
    except (TypeError, ValueError) as error:
        raise ValueError(_one_line(error)) from error


def _bindings(name: str) -> dict[str, Any]:
    """Returns what was read for a configurable: the fields that are set."""
    try:
        return gin.get_bindings(name)
    except (TypeError, ValueError) as error:
        raise ValueError(_one_line(error)) from error


def _check_types(config: Any) -> None:
    """Raises ValueError where a value is not of its field's type, at any depth."""
    hints = get_type_hints(type(config))
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            _check_types(value)
            continue
        hint = hints[field.name]
        allowed = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        plain = [kind for kind in allowed if kind in (int, float, str, bool)]
        others = set(allowed) - {*plain, type(None)}
        fits = type(value) in allowed or (type(value) is int and float in allowed)
        if plain and not others and not fits:
            wanted = " or ".join(kind.__name__ for kind in plain)
            raise ValueError(
                f"{type(config).__name__}.{field.name} is {value!r}, of type "
                f"{type(value).__name__}: it must be {wanted}"
            )


def _find(file: str) -> Path:
    for folder in _FOLDERS:
        if (folder / file).is_file():
            return folder / file
    looked = ", ".join(str((folder / file).absolute()) for folder in _FOLDERS)
    raise FileNotFoundError(f"no gin file {file}: looked for {looked}")


def _read(text: str, where: str) -> set[str]:
    """Parses gin text after a check; returns the names (macros) that it sets."""
    names = _check(text, where, depth=0)
    try:
        gin.parse_config(_with_includes(text))
    except (ValueError, SyntaxError, TypeError, RuntimeError) as error:
        raise ValueError(f"{where}: {_one_line(error)}") from error
    return names


def _with_includes(text: str) -> str:
    """Puts the text of included files in place: gin would look for Python packages."""
    return _INCLUDE.sub(
        lambda found: _with_includes(_find(found[2]).read_text(encoding="utf-8")), text
    )


class _NoReferences(config_parser.ParserDelegate):
    """Reads values without making anything of them."""

    def configurable_reference(
        self, scoped_configurable_name: str, evaluate: bool
    ) -> None:
        """Ignores @Name and @Name()."""

    def macro(self, macro_name: str) -> None:
        """Ignores %NAME."""


def _check(text: str, where: str, depth: int) -> set[str]:
    if depth > 2:
        raise ValueError(f"{where}: more than two levels of include: flatten them")
    names: set[str] = set()
    try:
        for statement in config_parser.ConfigParser(text, _NoReferences()):
            match statement:
                case config_parser.ImportStatement():
                    raise ValueError(
                        f"{where}: it imports {statement.module}, but a configuration "
                        "may not load code: remove the import"
                    )
                case config_parser.IncludeStatement():
                    path = _find(statement.filename)
                    included = path.read_text(encoding="utf-8")
                    names |= _check(included, str(path), depth + 1)
                case config_parser.BindingStatement() if not statement.arg_name:
                    names.add(statement.selector)
    except SyntaxError as error:
        raise ValueError(f"{where}: {_one_line(error)}") from error
    return names


def _set(setting: str, names: Iterable[str]) -> None:
    """Applies one "NAME=value" of the command line."""
    name, equals, value = setting.partition("=")
    if not equals:
        raise ValueError(f"--gin.{name} has no value: write --gin.{name}=VALUE")
    if "." not in name and name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {sorted(names)}"
        raise ValueError(f"no name {name} in the gin files: {hint}")
    line = f"{name} = {value}"
    try:
        config_parser.ConfigParser(line, _NoReferences()).parse_statement()
    except (ValueError, SyntaxError) as error:
        raise ValueError(
            f"--gin.{setting}: {value} is not a value; text needs quotes of its own: "
            f"--gin.{name}=\"'{value}'\""
        ) from error
    _read(line, f"--gin.{setting}")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
