"""gin text -> Run: files and settings, checked before gin may act on them."""

import difflib
import inspect
import os
import re
import tokenize
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, get_type_hints

import gin
from gin import config_parser

from jaxprompt.command.private_gin import private_gin
from jaxprompt.config import CONFIGURABLES, Run, Sweep
from jaxprompt.config.renamed import check_renamed, with_new_names
from jaxprompt.config.run import MOST_SEEDS
from jaxprompt.field_types import check_value
from jaxprompt.quoting import cut, quoted, quoted_path, visible
from jaxprompt.utf8 import read_utf8

_PACKAGE = Path(__file__).parents[1]
_FOLDERS = (Path(), _PACKAGE.parent, _PACKAGE)
"""Where gin files are looked for: here, in a checkout, in an installed package."""

_INCLUDE = re.compile(r"""^include\s+(["'])(.+?)\1""", re.MULTILINE)

_MALFORMED = (
    ValueError,
    SyntaxError,
    tokenize.TokenError,
    TypeError,
    # RecursionError too: values in values, and names that stand for each other.
    RuntimeError,
    MemoryError,
    OSError,
)
"""What gin raises at text that it cannot read, or cannot make anything of."""


def _checked(configurable: Callable[..., Any]) -> Callable[..., Any]:
    """Makes a configurable that checks its fields' types before it is made."""
    hints = get_type_hints(configurable)
    name = configurable.__name__

    def make(**fields: Any) -> Any:
        for field, value in fields.items():
            check_value(f"{name}.{field}", value, hints[field])
        return configurable(**fields)

    make.__name__ = make.__qualname__ = name
    make.__doc__ = configurable.__doc__
    # gin looks here for the fields and their defaults.
    setattr(make, "__signature__", inspect.signature(configurable))  # noqa: B010
    return make


_MOST_INCLUDES = 2
"""Levels of files that include files."""

_configurables: dict[str, Any] = {
    configurable.__name__: gin.external_configurable(
        _checked(configurable), name=configurable.__name__, module="jaxprompt"
    )
    for configurable in CONFIGURABLES
}


def configure(
    files: Sequence[str], settings: Sequence[str], *, start: str = ""
) -> tuple[Run, str]:
    """Reads gin: first the start, then the files in order, then the settings.

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
    with private_gin():
        _load(files, settings, start)
        return _build_run()


def check_names(files: Sequence[str], settings: Sequence[str]) -> None:
    """Reads gin as `configure` does, and makes nothing of it: JAX is not imported.

    Args:
        files: gin files.
        settings: "NAME=value" each.

    Raises:
        FileNotFoundError: If a file is nowhere.
        ValueError: If a name is misspelt, or text is not gin.
    """
    with private_gin():
        _load(files, settings)


def check_files(files: Sequence[str]) -> None:
    """Checks gin files without the macros that stand in others; as `check_names`.

    Args:
        files: gin files.

    Raises:
        FileNotFoundError: If a file is nowhere.
        ValueError: If a name is misspelt, or text is not gin.
    """
    for file in files:
        path = _find(file)
        _check(read_utf8(path), str(path), depth=0)


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
    from jaxprompt.train.optimizer import MASKS

    with private_gin():
        _load(files, settings)
        asked = _bindings("Run")
        first, seeds = asked.get("seed", 0), asked.get("seeds", 1)
        mask = MASKS.get(asked.get("trains", "prompt"))
        is_bank = mask is not None and mask["model"]
        # A seed that is no number is told by the run's own checks.
        is_number = {type(first), type(seeds)} <= {int}
        if is_bank or not is_number or not 1 < seeds <= MOST_SEEDS:
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
    with private_gin():
        _load(files, settings)
        if "arms" not in _bindings("Sweep"):
            raise ValueError(
                f"no sweep in {', '.join(files)}: give a recipe that sets Sweep.arms, "
                "as --gin_file=gin/recipes/lester2021/figure3a_prompt_length.gin"
            )
        sweep = _build("Sweep")
        task = _bindings("Data").get("task")
    if sweep.tasks and task is not None:
        raise ValueError(
            f"task {task.label} and {len(sweep.tasks)} files in Sweep.tasks: for "
            f'{task.label} alone add --gin.Sweep.tasks="[]", or leave its file out'
        )
    return sweep


def _load(files: Sequence[str], settings: Sequence[str], start: str = "") -> None:
    """Reads the start, the files and the settings into gin, which is empty."""
    names: set[str] = set()
    if start:
        start = _without_macro_scopes(with_new_names(start))
        names |= _read(start, "the configuration stored with the prompt")
    for file in files:
        path = _find(file)
        names |= _read(read_utf8(path), str(path))
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
    return run, gin.operative_config_str()


def _build(name: str) -> Any:
    """Makes one of the configurables from what was read."""
    try:
        return _configurables[name]()
    except _MALFORMED as error:
        raise ValueError(_one_line(error)) from error


def _bindings(name: str) -> dict[str, Any]:
    """Returns what was read for a configurable: the fields that are set."""
    try:
        return gin.get_bindings(name)
    except _MALFORMED as error:
        raise ValueError(_one_line(error)) from error


def _find(file: str) -> Path:
    for folder in _FOLDERS:
        # Not Path.is_file, which fails on a name that is too long.
        if os.path.isfile(folder / file):
            return folder / file
    looked = ", ".join(str(folder.absolute()) for folder in _FOLDERS)
    raise FileNotFoundError(f"no gin file {quoted_path(file)}: looked in {looked}")


def _read(text: str, where: str) -> set[str]:
    """Parses gin text after a check; returns the names (macros) that it sets."""
    names = _check(text, where, depth=0)
    try:
        gin.parse_config(_with_includes(text))
    except _MALFORMED as error:
        raise ValueError(f"{where}: {_one_line(error)}") from error
    return names


def _with_includes(text: str, depth: int = 0) -> str:
    """Puts the text of included files in place: gin would look for Python packages."""
    if depth > _MOST_INCLUDES:  # As in a text value, which `_check` does not look into.
        raise ValueError("a line of a text begins with include: write it otherwise")
    return _INCLUDE.sub(
        lambda found: _with_includes(read_utf8(_find(found[2])), depth + 1), text
    )


class _NoReferences(config_parser.ParserDelegate):
    """Reads values without making anything of them."""

    def configurable_reference(
        self, scoped_configurable_name: str, evaluate: bool
    ) -> None:
        """Refuses @Name of another library: t5 and seqio have gin names too."""
        del evaluate
        _check_name(scoped_configurable_name)

    def macro(self, macro_name: str) -> None:
        """Ignores %NAME."""


def _check_name(name: str) -> None:
    """Raises ValueError unless it is one of this project's own, in any scope."""
    own = name.rpartition("/")[2].removeprefix("jaxprompt.")
    if own not in _configurables:
        raise ValueError(
            f"No configurable matching {quoted(name)}: there are "
            f"{', '.join(_configurables)}"
        )


def _check(text: str, where: str, depth: int) -> set[str]:
    if depth > _MOST_INCLUDES:
        raise ValueError(f"{where}: more than two levels of include: flatten them")
    try:
        statements = list(config_parser.ConfigParser(text, _NoReferences()))
    except _MALFORMED as error:
        raise ValueError(f"{where}: {_one_line(error)}") from error
    names: set[str] = set()
    for statement in statements:
        match statement:
            case config_parser.ImportStatement():
                raise ValueError(
                    f"{where}: it imports {statement.module}, but a configuration may "
                    "not load code: remove the import"
                )
            case config_parser.IncludeStatement():
                path = _find(statement.filename)
                names |= _check(read_utf8(path), str(path), depth + 1)
            case config_parser.BindingStatement():
                try:
                    names |= _check_binding(statement)
                except ValueError as error:
                    raise ValueError(f"{where}: {error}") from error
    return names


def _check_binding(statement: config_parser.BindingStatement) -> set[str]:
    """Checks what a line sets; returns its name if it is a macro's."""
    selector, field = statement.selector, statement.arg_name
    if not field:
        check_renamed(selector)
        return {selector}
    _check_name(selector)
    check_renamed(f"{selector}.{field}")
    return set()


def _set(setting: str, names: Iterable[str]) -> None:
    """Applies one "NAME=value" of the command line."""
    name, equals, value = setting.partition("=")
    said, said_value = (cut(visible(text), most=100) for text in (name, value))
    asked = f"--gin.{said}"
    if not equals:
        raise ValueError(f"{asked} has no value: write {asked}=VALUE")
    check_renamed(name)
    if "." not in name and name not in names:
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {sorted(names)}"
        raise ValueError(f"no name {said} in the gin files: {hint}")
    line = f"{name} = {value}"
    try:
        config_parser.ConfigParser(line, _NoReferences()).parse_statement()
    except _MALFORMED as error:
        raise ValueError(
            f"{asked}={said_value}: {said_value} is not a value; text needs quotes of "
            f"its own: {asked}=\"'{said_value}'\""
        ) from error
    _read(line, f"{asked}={said_value}")


def _one_line(error: BaseException) -> str:
    if isinstance(error, RecursionError | MemoryError):
        return "values in values, or names that stand for each other, without an end"
    # gin names the configurable, and adds where it lies in memory.
    text = re.sub(r" \(<.*?>\)", "", " ".join(str(error).split()))
    return cut(visible(text), most=1000)
