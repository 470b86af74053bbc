"""Prompts under names: those of files, or of an archive of arrays."""

import dataclasses
import zipfile
from collections.abc import Sequence
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.screen.quoting import quoted, quoted_path

ARCHIVE = ".npz"
"""Ending of a NumPy archive: name of a task -> the rows of its prompt."""


@dataclasses.dataclass(frozen=True)
class NamedPrompts:
    """Several prompts of one form, for one model.

    Attributes:
        names: What each is called.
        prompts: Each a bank of one.
        provenances: Where each comes from; None of an archive, which does not say.
        files: The file of each.
    """

    names: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    provenances: tuple[Provenance | None, ...]
    files: tuple[Path, ...]

    @property
    def rows(self) -> Float[np.ndarray, "prompts P D"]:
        """Their soft tokens.

        Raises:
            ValueError: If one has none, or keys and values besides.
        """
        found = []
        for name, prompt in zip(self.names, self.prompts, strict=True):
            try:
                found.append(prompt.soft_rows(alone="comparing or mapping prompts"))
            except ValueError as error:
                raise ValueError(f"prompt {quoted(name)}: {error}") from error
        return np.stack(found)

    @property
    def tasks(self) -> tuple[str, ...]:
        """The task of each; what it is called, where nothing else says it."""
        pairs = zip(self.provenances, self.names, strict=True)
        return tuple(said.task if said and said.task else name for said, name in pairs)

    def take(self, places: Sequence[int]) -> "NamedPrompts":
        """Takes some of them, by their numbers."""
        return NamedPrompts(
            tuple(self.names[place] for place in places),
            tuple(self.prompts[place] for place in places),
            tuple(self.provenances[place] for place in places),
            tuple(self.files[place] for place in places),
        )


def read_named(files: Sequence[Path]) -> NamedPrompts:
    """Reads prompts that belong together.

    A prompt file is called by its task; where prompts share a task, by the file's name
    without its ending, and where that is shared too, by its whole path.

    Args:
        files: Files of `prompts.file`, or NumPy archives of arrays [P, D].

    Returns:
        The prompts in the order of the files, and of an archive's own.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If a file is no such file, if prompts differ in length, width, keys
            and values or model, or if two share a name.
    """
    names: list[str] = []
    prompts: list[Prompt] = []
    provenances: list[Provenance | None] = []
    sources: list[Path] = []
    told = _names([file for file in files if file.suffix != ARCHIVE])
    for file in files:
        if file.suffix == ARCHIVE:
            arrays = _read_archive(file)
            names += arrays
            prompts += [make_prompt(jnp.asarray(rows)) for rows in arrays.values()]
            provenances += [None] * len(arrays)
            sources += [file] * len(arrays)
            continue
        prompt, provenance = load_prompt(file)
        names.append(told[file])
        prompts.append(prompt)
        provenances.append(provenance)
        sources.append(file)
    if not prompts:
        raise ValueError("no prompts: name two or more")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"two prompts are called {quoted(twice[0])}: leave one of them out"
        )
    found = NamedPrompts(
        tuple(names), tuple(prompts), tuple(provenances), tuple(sources)
    )
    check_alike(found, found)
    return found


def check_alike(one: NamedPrompts, others: NamedPrompts) -> None:
    """Checks that prompts can be compared with the first of others, and mixed.

    Args:
        one: Whose first prompt they are held against.
        others: These prompts.

    Raises:
        ValueError: If one differs in length, width, keys and values or model.
    """
    first, said = one.prompts[0], one.provenances[0]
    for name, prompt, provenance in zip(
        others.names, others.prompts, others.provenances, strict=True
    ):
        pair = f"prompts {quoted(one.names[0])} and {quoted(name)} do not go together"
        if prompt.width != first.width:
            raise ValueError(
                f"{pair}: they are {first.width} and {prompt.width} wide, so they are "
                "of different models; use prompts of one model"
            )
        if said and provenance and _differ(said, provenance):
            raise ValueError(
                f"{pair}: they are of {said.backbone} (fingerprint "
                f"{said.fingerprint[:12]}) and {provenance.backbone} "
                f"({provenance.fingerprint[:12]}); use prompts of one model"
            )
        if prompt.told != first.told:
            raise ValueError(
                f"{pair}: they are {first.told}, and {prompt.told}; use prompts of one "
                "length"
            )


def _differ(one: Provenance, other: Provenance) -> bool:
    """Whether two prompts are of different weights, as far as both say."""
    known = bool(one.fingerprint and other.fingerprint)
    return known and one.fingerprint != other.fingerprint


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
