"""Documents of a folder, and their sentences: an index of places, read as needed."""

import functools
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeAlias

from jaxprompt.data.read.files import Row
from jaxprompt.data.read.template import Template
from jaxprompt.data.read.text import sentences
from jaxprompt.files.strict_json import NotJson, parse_json
from jaxprompt.files.utf8 import NotUtf8, decode_utf8
from jaxprompt.screen.quoting import quoted_path

Whole: TypeAlias = Literal["file", "line"]
"""What of a .txt file is a document: all of it, or each line that is not blank."""

_KEPT = 64
"""Documents whose sentences stay in memory."""


class Document(NamedTuple):
    """Where a document stands, and what is known of it without its text.

    Attributes:
        name: Its file as a path below the folder, and its line, as "a.txt:12".
        path: The file.
        start: First byte.
        stop: Byte behind its last one.
        sentences: How many there are.
    """

    name: str
    path: Path
    start: int
    stop: int
    sentences: int


class Documents:
    """The documents of a folder, of which only places are kept in memory.

    Attributes:
        places: The documents, in the order of the files' names, without those whose
            text another one has.
        repeated: How many were left out for that.
        hashes: File, as a path below the folder -> SHA-256 of its bytes.
    """

    def __init__(
        self, folder: str | Path, *, whole: Whole = "line", row_text: str = "{text}"
    ):
        """Reads every .txt and .jsonl file below a folder once; or one such file.

        Args:
            folder: The folder, or the file.
            whole: What of a .txt file is a document.
            row_text: Template of the text of a .jsonl file's row, each a document.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If a file is not UTF-8, or a row is malformed.
        """
        self._whole, self._template = whole, Template(row_text)
        self.repeated = 0
        self.hashes: dict[str, str] = {}
        seen: set[bytes] = set()
        places = []
        for name, path in text_files(Path(folder)).items():
            for number, start, text in self._texts(path):
                found = self._sentences(path, text, f"{path}:{number}")
                said = "\n".join(found).encode()
                digest = hashlib.blake2b(said, digest_size=16).digest()
                if digest in seen:
                    self.repeated += 1
                    continue
                seen.add(digest)
                stop = start + len(text.encode())
                place = f"{name}:{number}"
                places.append(Document(place, path, start, stop, len(found)))
            with path.open("rb") as file:
                self.hashes[name] = hashlib.file_digest(file, "sha256").hexdigest()
        self.places = tuple(places)

    def sentences(self, number: int) -> tuple[str, ...]:
        """Returns the sentences of a document, with one space between words."""
        return self._cached(number)

    @functools.cached_property
    def _cached(self) -> Callable[[int], tuple[str, ...]]:
        # Of this object, so that its memory goes with it.
        return functools.lru_cache(maxsize=_KEPT)(self._read)

    def _read(self, number: int) -> tuple[str, ...]:
        document = self.places[number]
        with document.path.open("rb") as file:
            file.seek(document.start)
            text = file.read(document.stop - document.start).decode()
        return self._sentences(document.path, text, document.name)

    def _sentences(self, path: Path, text: str, where: str) -> tuple[str, ...]:
        if path.suffix == ".jsonl":
            row = Row(where, _fields(text, where))
            text = " ".join(self._template.fill(row).split())
        return tuple(sentences(text))

    def _texts(self, path: Path) -> Iterator[tuple[int, int, str]]:
        """Yields the line, the first byte and the text of each document of a file."""
        if path.suffix == ".txt" and self._whole == "file":
            read = path.read_bytes()
            text = _decode(read, f"{path}")
            if text.strip():
                yield 1, len(read) - len(text.encode()), text
            return
        start = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, start=1):
                text = _decode(line, f"{path}:{number}")
                # A byte-order mark is no text.
                skipped = len(line) - len(text.encode())
                if text.strip():
                    yield number, start + skipped, text
                start += len(line)


def _decode(data: bytes, where: str) -> str:
    try:
        return decode_utf8(data)
    except NotUtf8 as err:
        raise ValueError(f"{where}: {err.reason}") from err


def _fields(line: str, where: str) -> dict[str, Any]:
    try:
        fields = parse_json(line)
    except NotJson as err:
        raise ValueError(
            f"{where}: not JSON: {err.reason}: write one JSON object a line"
        ) from err
    if not isinstance(fields, dict):
        raise ValueError(
            f"{where}: a JSON {type(fields).__name__}, not an object: write "
            '{"field": value, ...}'
        )
    return fields


def text_files(folder: Path) -> dict[str, Path]:
    """Finds the files of text; returns the name of each, as a path below the folder.

    Raises:
        FileNotFoundError: If there is none.
    """
    kinds = (".txt", ".jsonl")
    if folder.is_file() and folder.suffix in kinds:
        return {folder.name: folder}
    found = sorted(p for p in folder.rglob("*") if p.suffix in kinds and p.is_file())
    if not found:
        raise FileNotFoundError(
            f"no .txt or .jsonl file at or below {quoted_path(folder)}: give a folder "
            "of text, as --gin.TEXT=novels"
        )
    return {path.relative_to(folder).as_posix(): path for path in found}
