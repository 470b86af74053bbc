"""The prompt files that a user names, by themselves or by their folder."""

from collections.abc import Sequence
from pathlib import Path

from jaxprompt.prompts.file import load_prompt
from jaxprompt.quoting import quoted_path


def find_prompts(names: Sequence[str]) -> list[Path]:
    """Lists prompt files; of a folder, such as a bank's, by task and seed.

    Args:
        names: Files, and folders of .safetensors files.

    Raises:
        FileNotFoundError: If a name is neither, or a folder holds none.
    """
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if not path.is_dir():
            found.append(path)
            continue
        files = list(path.glob("*.safetensors"))
        if not files:
            raise FileNotFoundError(
                f"no *.safetensors in folder {quoted_path(path)}: check the path"
            )
        found += sorted(files, key=_task_and_seed)
    return found


def _task_and_seed(file: Path) -> tuple[str, int, str]:
    _, provenance = load_prompt(file)
    return provenance.task, provenance.seed or 0, file.name
