"""The prompts that can be asked, by name: files of a folder, or named at the start."""

import dataclasses
import math
import os
import stat
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from jaxprompt.config.answering import answering_run
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance, check_backbone
from jaxprompt.serve.names import check_name, no_folder

ENDING = ".safetensors"


@dataclasses.dataclass(frozen=True, eq=False)
class Named:
    """A prompt that can be asked.

    Attributes:
        name: Its name.
        provenance: Where it comes from.
        ready: What the engine made of it.
        tokens: Soft tokens, and keys and values in each layer, in front of a text.
        is_deep: Whether it has keys and values.
        created: When it was loaded, in seconds since 1970.
        labels: The label words of its task; empty where it has none.
        rows: Its soft tokens.
    """

    name: str
    provenance: Provenance
    ready: Any
    tokens: int
    is_deep: bool
    created: int
    labels: tuple[str, ...]
    rows: Float[np.ndarray, "P D"]

    def describe(self) -> dict[str, Any]:
        """Says what it is, as JSON can hold it."""
        said = self.provenance
        score = said.score
        if score is not None and not math.isfinite(score):
            score = None  # JSON has no number for it.
        return {
            "tokens": self.tokens,
            "kind": "deep" if self.is_deep else "shallow",
            "task": said.task,
            "labels": list(self.labels),
            "metric": said.metric,
            "score": score,
            "head": said.head,
            "fingerprint": said.fingerprint,
        }


class Bank:
    """Prompts by name. One thread at a time may change it; any may read it."""

    def __init__(
        self,
        backbone: Backbone,
        read: Callable[[Prompt], Any],
        *,
        folder: Path | None = None,
        another_backbone: bool = False,
    ):
        """Starts without any prompt.

        Args:
            backbone: The model that prompts must have been trained on.
            read: Makes a prompt ready, for any number of answers.
            folder: Where `load` finds prompts, and `refresh` all of them.
            another_backbone: Allows prompts of another model.

        Raises:
            FileNotFoundError: If there is no such folder.
        """
        if folder is not None and not folder.is_dir():
            raise no_folder(folder)
        self._backbone, self._read, self._folder = backbone, read, folder
        self._another_backbone = another_backbone
        self._prompts: dict[str, Named] = {}
        self._seen: dict[str, tuple[int, ...]] = {}
        self._left_out: set[str] = set()

    @property
    def prompts(self) -> Mapping[str, Named]:
        """All prompts, by their names."""
        return self._prompts

    def load_file(self, name: str, path: Path) -> Named:
        """Loads a prompt from a file that the server's owner names.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the name is no name, or the file no prompt of this model.
        """
        check_name(name)
        prompt, provenance = load_prompt(path)
        check_backbone(provenance, self._backbone, override=self._another_backbone)
        if provenance.head not in ("words", "mask"):
            raise ValueError(
                f"prompt {name} answers by a head of {provenance.head}, and this "
                "server answers in words: use `jaxprompt predict`"
            )
        columns = sum(deep.length for deep in prompt.deep.values())
        named = Named(
            name,
            provenance,
            self._read(prompt),
            prompt.length + columns,
            bool(prompt.deep),
            int(time.time()),
            _labels_of(name, provenance),
            np.asarray(prompt.rows)[0],
        )
        # A new dict: whoever iterates over the old one is not disturbed.
        self._prompts = {**self._prompts, name: named}
        return named

    def load(self, name: str) -> Named:
        """Loads NAME.safetensors of the folder, once more if it is loaded.

        Raises:
            FileNotFoundError: If there is no such file, or no folder.
            ValueError: As `load_file`.
        """
        check_name(name)
        if self._folder is None:
            raise FileNotFoundError(
                "this server was started without --bank, so it loads no prompts"
            )
        found = _regular_file(self._folder / f"{name}{ENDING}")
        if found is None:
            raise FileNotFoundError(f"no file {name}{ENDING} in the server's folder")
        self._left_out.discard(name)
        named = self.load_file(name, self._folder / f"{name}{ENDING}")
        self._seen[name] = found
        return named

    def unload(self, name: str) -> None:
        """Forgets a prompt; answers that have begun go on.

        Raises:
            KeyError: If there is none of this name.
        """
        if name not in self._prompts:
            raise KeyError(name)
        self._left_out.add(name)
        self._forget(name)

    def refresh(self) -> list[str]:
        """Makes the prompts those of the folder: new, changed and removed files.

        A prompt that was unloaded stays out until it is loaded. A file that cannot be
        read changes nothing.

        Returns:
            What was done, a line each.
        """
        if self._folder is None:
            return []
        done = []
        files = {
            path.name.removesuffix(ENDING): found
            for path in sorted(self._folder.glob(f"*{ENDING}"))
            if (found := _regular_file(path)) is not None
        }
        for name in sorted({*self._seen} - {*files}):
            del self._seen[name]
            if name in self._prompts:
                self._forget(name)
                done.append(f"unloaded {name}: its file is gone")
        for name, found in files.items():
            if name in self._left_out or self._seen.get(name) == found:
                continue
            self._seen[name] = found  # A damaged file is told of once.
            try:
                self.load(name)
            except (ValueError, OSError) as error:
                done.append(f"did not load {name}: {error}")
            else:
                done.append(f"loaded {name}")
        return done

    def _forget(self, name: str) -> None:
        self._prompts = {n: p for n, p in self._prompts.items() if n != name}


def _labels_of(name: str, provenance: Provenance) -> tuple[str, ...]:
    if not provenance.answering:
        return ()
    task = answering_run(provenance.answering, f"prompt {name}").data.tasks[0]
    return task.label_words_in_order


def _regular_file(path: Path) -> tuple[int, ...] | None:
    """Returns what changes with a file; None if it is a link, or no file."""
    try:
        found = os.lstat(path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
