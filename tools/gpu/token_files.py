"""Examples to pre-train on, tokenised beforehand: to train on them needs no text."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors.numpy

from jaxprompt.config.tasks import TaskSettings
from jaxprompt.data.read.files import Row
from jaxprompt.data.read.sources import Features, Source, SplitRows
from jaxprompt.data.read.text import TRAIN, VALIDATION
from jaxprompt.data.tasks.task import MixedPart, Task
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.data.vocabulary.vocabulary import Vocabulary
from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.json_file import read_json_object

TOKENS, ABOUT = "tokens.safetensors", "prepared.json"

MOST_IDS = 2**16
"""Ids that fit in the uint16 of the files."""


class Pairs(NamedTuple):
    """Many examples, one behind the other.

    Attributes:
        ids: uint16 ids: of each example its inputs, then its targets.
        sizes: uint16 [examples, 2]: how many inputs and targets it has.
    """

    ids: np.ndarray
    sizes: np.ndarray

    @property
    def nbytes(self) -> int:
        """Bytes in a file."""
        return self.ids.nbytes + self.sizes.nbytes

    def take(self, numbers: Iterable[int]) -> Iterator[Pair]:
        """Yields examples; of R examples, number R is the first one again."""
        ends = np.cumsum(self.sizes.astype(np.int64).sum(axis=1))
        for number in numbers:
            number %= len(ends)
            inputs, targets = self.sizes[number].tolist()
            middle = int(ends[number]) - targets
            ids = self.ids[middle - inputs : middle + targets].astype(np.int32)
            yield Pair(ids[:inputs], ids[inputs:])


def store_pairs(pairs: Iterable[Pair], most_bytes: float) -> Pairs:
    """Stores examples in order, until there are no more or the bytes are used up."""
    ids: list[np.ndarray] = []
    sizes: list[tuple[int, int]] = []
    left = most_bytes
    for pair in pairs:
        left -= 2 * (len(pair.inputs) + len(pair.targets) + 2)
        if left < 0:
            break
        ids += (np.asarray(side, np.uint16) for side in (pair.inputs, pair.targets))
        sizes.append((len(pair.inputs), len(pair.targets)))
    if not sizes:
        raise ValueError(
            f"no example fits in {most_bytes:.0f} bytes, which the other files leave: "
            "allow more megabytes"
        )
    return Pairs(np.concatenate(ids), np.array(sizes, np.uint16))


def write_tokens(
    folder: Path,
    training: Pairs,
    validation: Mapping[str, Pairs],
    table: Mapping[int, np.ndarray],
    about: Mapping[str, Any],
) -> None:
    """Writes all that training reads but for the vocabulary.

    Args:
        folder: Where; it must exist.
        training: Examples of all objectives, mixed.
        validation: Objective -> examples of it alone.
        table: Id -> what its row of the embedding table starts from, float [D]; empty
            for random rows.
        about: Settings, for `prepared.json`.
    """
    named = {TRAIN: training, **{_of(name): x for name, x in validation.items()}}
    arrays = {
        f"{name}/{field}": array
        for name, pairs in named.items()
        for field, array in pairs._asdict().items()
    }
    if table:
        arrays["table/ids"] = np.array(list(table), np.uint16)
        arrays["table/rows"] = np.stack(list(table.values())).astype(np.float16)
    write_atomically(folder / TOKENS, safetensors.numpy.save(arrays))
    text = json.dumps(about, indent=2) + "\n"
    write_atomically(folder / ABOUT, text.encode())


def read_about(folder: Path) -> dict[str, Any]:
    """Reads the settings; an error says how to make the folder."""
    return read_json_object(folder / ABOUT, "make it with `pretrain.py prepare`")


def read_table(folder: Path) -> dict[int, np.ndarray]:
    """Reads the rows that the embedding table starts from, float32."""
    arrays = safetensors.numpy.load_file(folder / TOKENS)
    if "table/ids" not in arrays:
        return {}
    rows = arrays["table/rows"].astype(np.float32)
    return dict(zip(arrays["table/ids"].tolist(), rows, strict=True))


def _of(objective: str) -> str:
    return f"{VALIDATION}/{objective}"


@dataclass(frozen=True, kw_only=True)
class StoredTask(TaskSettings):
    """A task whose examples are read from token files.

    Attributes:
        name: For the results.
        folder: Where they are.
        rates: Objective -> its share of the examples.
    """

    name: str
    folder: Path
    rates: Mapping[str, float]

    @property
    def tasks(self) -> Any:
        """The task alone."""
        return (self,)

    @property
    def place(self) -> str:
        """The folder of the files."""
        return f"below {self.folder}"

    def load(self, vocabulary: Vocabulary) -> Task:
        """Reads the files; each objective is a part, to be validated alone."""
        path = self.folder / TOKENS
        arrays = safetensors.numpy.load_file(path)
        hashes = {TOKENS: hashlib.sha256(path.read_bytes()).hexdigest()}

        def pairs(name: str) -> Pairs:
            return Pairs(arrays[f"{name}/ids"], arrays[f"{name}/sizes"])

        def make(name: str, of: Mapping[str, Pairs], **parts: Any) -> Task:
            return Task(
                name=name,
                source=_StoredSource(name, of, hashes),
                vocabulary=vocabulary,
                read_request=_no_request,
                draw=lambda split, numbers: of[split].take(numbers),
                **parts,
            )

        of_part = {name: pairs(_of(name)) for name in self.rates}
        parts = {
            name: MixedPart(
                rate, make(f"{self.name}:{name}", {VALIDATION: of_part[name]})
            )
            for name, rate in self.rates.items()
        }
        first = next(iter(of_part.values()))  # Of a whole, its parts are validated.
        whole = {TRAIN: pairs(TRAIN), VALIDATION: first}
        return make(self.name, whole, parts=parts)


class _StoredSource(Source):
    """Rows that are numbers alone: `Task.draw` has their tokens."""

    def __init__(
        self, name: str, splits: Mapping[str, Pairs], hashes: Mapping[str, str]
    ):
        def rows(pairs: Pairs) -> SplitRows:
            return SplitRows(lambda: [_NO_FEATURES] * len(pairs.sizes))

        super().__init__(name, lambda: {name: rows(x) for name, x in splits.items()})
        self._hashes = hashes

    @property
    def hashes(self) -> Mapping[str, str]:
        """SHA-256 of the file of tokens."""
        return self._hashes


_NO_FEATURES: Features = {}


def _no_request(row: Row, number: int) -> Features:
    raise ValueError(f"{row.where}: stored tokens have no fields")
