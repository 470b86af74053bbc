"""Prompts under names, as one array: a folder's files, or an archive of arrays."""

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.quoting import quoted, quoted_path

ARCHIVE = ".npz"
"""Ending of a NumPy archive: name of a task -> the rows of its prompt."""


@dataclasses.dataclass(frozen=True)
class NamedPrompts:
    """Soft tokens of several prompts of one length, for one model.

    Attributes:
        names: What each is called.
        rows: Their soft tokens, [number of prompts, P, D].
        provenances: Where each comes from; None of an archive, which does not say.
    """

    names: tuple[str, ...]
    rows: Float[np.ndarray, "prompts P D"]
    provenances: tuple[Provenance | None, ...]

    def place(self, name: str) -> int:
        """Returns the number of the prompt of this name, in any case of letters."""
        return [known.lower() for known in self.names].index(name.lower())


def read_named(files: Sequence[Path]) -> NamedPrompts:
    """Reads prompts that are to be compared.

    A prompt file is called by its task; where prompts share a task, by the file's name
    without its ending, and where that is shared too, by its whole path.

    Args:
        files: Files of `prompts.file`, or NumPy archives of arrays [P, D].

    Returns:
        The prompts in the order of the files, and of an archive's own.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is no such file, if prompts differ in length, width or
            model, if two share a name, or if one has no soft tokens or more than them.
    """
    rows: list[np.ndarray] = []
    names: list[str] = []
    provenances: list[Provenance | None] = []
    told = _names([file for file in files if file.suffix != ARCHIVE])
    for file in files:
        if file.suffix == ARCHIVE:
            for name, array in _read_archive(file).items():
                names.append(name)
                rows.append(array)
                provenances.append(None)
            continue
        prompt, provenance = load_prompt(file)
        names.append(told[file])
        rows.append(prompt.soft_rows(alone=f"a comparison of {quoted_path(file)}"))
        provenances.append(provenance)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two prompts are called {quoted(twice[0])}: leave one of them out"
        )
    _check_alike(names, rows, provenances)
    return NamedPrompts(tuple(names), np.stack(rows), tuple(provenances))


def _names(files: Sequence[Path]) -> dict[Path, str]:
    """Calls each file by its task, its stem or its path: the first that tells it."""
    tasks = [load_prompt(file)[1].task for file in files]
    stems = [file.stem for file in files]
    return {
        file: next(
            (
                name
                for name, all_names in ((task, tasks), (file.stem, stems))
                if name and all_names.count(name) == 1
            ),
            str(file),
        )
        for file, task in zip(files, tasks, strict=True)
    }


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise FileNotFoundError(f"no archive at {quoted_path(path)}: check the path")
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{quoted_path(path)} is no NumPy archive of prompts: {error}"
        ) from error
    for name, array in found.items():
        sound = array.ndim == 2 and array.size and array.dtype.kind == "f"
        if not sound or not np.isfinite(array).all():
            raise ValueError(
                f"{quoted_path(path)}: {quoted(name)} is {array.dtype} "
                f"{list(array.shape)}, but a prompt is finite floats [P, D]"
            )
    if not found:
        raise ValueError(f"{quoted_path(path)} holds no prompt")
    return found


def _check_alike(
    names: Sequence[str],
    rows: Sequence[np.ndarray],
    provenances: Sequence[Provenance | None],
) -> None:
    """Raises ValueError unless all are of one length, one width and one model."""
    if not rows:
        raise ValueError("no prompts to compare: name two or more")
    for name, array, provenance in zip(names, rows, provenances, strict=True):
        pair = f"{quoted(names[0])} and {quoted(name)} cannot be compared"
        if array.shape != rows[0].shape:
            raise ValueError(
                f"{pair}: they are [P, D] = {list(rows[0].shape)} and "
                f"{list(array.shape)}; use prompts of one length, for one model"
            )
        first = provenances[0]
        if not first or not provenance or not first.fingerprint:
            continue
        if provenance.fingerprint and provenance.fingerprint != first.fingerprint:
            raise ValueError(
                f"{pair}: they are of {first.backbone} (fingerprint "
                f"{first.fingerprint[:12]}) and {provenance.backbone} "
                f"({provenance.fingerprint[:12]}); use prompts of one model"
            )
