"""gin text -> Run: files and settings, checked before gin may act on them."""

import functools
import inspect
import pprint
import re
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_type_hints

import gin
from gin import config as gin_config

from jaxprompt.command.gin_files import find_gin_file, with_includes
from jaxprompt.command.names import MALFORMED, Names, one_line
from jaxprompt.command.private_gin import private_gin
from jaxprompt.config import CONFIGURABLES, Run, Sweep
from jaxprompt.config.renamed import with_new_names
from jaxprompt.config.run import MOST_SEEDS
from jaxprompt.field_types import check_value
from jaxprompt.files.utf8 import read_utf8
from jaxprompt.screen.quoting import cut, visible


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
        path = find_gin_file(file)
        Names().read(read_utf8(path), str(path))


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


def places_of(files: Sequence[str]) -> Mapping[str, Sequence[str]]:
    """Returns which fields, as "Pace.steps", take their value from each gin name.

    Args:
        files: gin files, which `configure_sweep` has read.
    """
    with private_gin():
        return _load(files, []).places


def _load(files: Sequence[str], settings: Sequence[str], start: str = "") -> Names:
    """Reads the start, the files and the settings into gin, which is empty.

    Returns:
        The names that they set.
    """
    names = Names()
    if start:
        start = _without_macro_scopes(with_new_names(start))
        _read(start, "the configuration stored with the prompt", names)
    for file in files:
        path = find_gin_file(file)
        _read(read_utf8(path), str(path), names)
    if not names.values:
        raise ValueError(
            "no configuration: give at least --gin_file=gin/runs/prompt_tuning.gin and "
            "a task, as --gin_file=gin/tasks/sst2.gin"
        )
    for setting in settings:
        where = f"--gin.{cut(visible(setting), most=200)}"
        _read(names.statement(setting), where, names)
    if "MODEL" in names.values and "MODEL" not in names.places:
        raise ValueError(
            "nothing takes MODEL: give --gin_file=gin/runs/prompt_tuning.gin, or "
            "another file of gin/runs/, in front of the other files"
        )
    return names


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
    return run, _operative_config()


def _operative_config() -> str:
    """Writes what the run used; a dict as it was given, for gin sorts it by its keys.

    The columns of a head are in the order of its task's labels.
    """
    gin_module: Any = gin_config
    sorting = gin_module.pprint
    in_order = functools.partial(pprint.pformat, sort_dicts=False)
    gin_module.pprint = types.SimpleNamespace(pformat=in_order)
    try:
        return gin.operative_config_str()
    finally:
        gin_module.pprint = sorting


def _build(name: str) -> Any:
    """Makes one of the configurables from what was read."""
    try:
        return _configurables[name]()
    except MALFORMED as error:
        raise ValueError(one_line(error)) from error


def _bindings(name: str) -> dict[str, Any]:
    """Returns what was read for a configurable: the fields that are set."""
    try:
        return gin.get_bindings(name)
    except MALFORMED as error:
        raise ValueError(one_line(error)) from error


def _read(text: str, where: str, names: Names) -> None:
    """Parses gin text after a check, and notes the names that it sets."""
    names.read(text, where)
    try:
        gin.parse_config(with_includes(text))
    except MALFORMED as error:
        raise ValueError(f"{where}: {one_line(error)}") from error
