"""The prompt files that a user names, by themselves or by their folder."""

from collections.abc import Sequence
from pathlib import Path

from jaxprompt.prompts.file import load_prompt
from jaxprompt.runs.keep.workdir import PROMPT, PROMPTS
from jaxprompt.screen.quoting import listed, quoted_path

_PLACES = (
    "*.safetensors",
    f"{PROMPTS}/*.safetensors",
    f"*/*/{PROMPT}",
    f"*/*/{PROMPTS}/*.safetensors",
)
"""Where a folder's prompts may be: in itself, as those of a bank, or as those of a
sweep, whose runs are in task/arm. The first place that holds any counts."""


def find_prompts(names: Sequence[str]) -> list[Path]:
    """Lists prompt files; of a folder, such as a bank's, by task and seed.

    Args:
        names: Files, folders of .safetensors files, and folders of runs and sweeps.

    Raises:
        FileNotFoundError: If a name is neither, or a folder holds none.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        files = next(filter(None, ([*path.glob(place)] for place in _PLACES)), [])
        if not files:
            raise FileNotFoundError(
                f"no *.safetensors in folder {quoted_path(path)}: check the path"
            )
        found += sorted(files, key=_task_and_seed)
    return found


def find_prompt(name: str) -> Path:
    """Returns the one prompt file that is named, or that a folder holds.

    Args:
        name: A file, or a folder as of `find_prompts`.

    Raises:
        FileNotFoundError: If it is neither, or a folder holds none.
        ValueError: If a folder holds several.
    """
    found = find_prompts([name])
    if len(found) > 1:
        raise ValueError(
            f"folder {quoted_path(name)} holds {len(found)} prompts: name one of "
            f"{listed(str(file.relative_to(name)) for file in found)}"
        )
    return found[0]


def _task_and_seed(file: Path) -> tuple[str, int, str]:
    _, provenance = load_prompt(file)
    return provenance.task, provenance.seed or 0, file.name
