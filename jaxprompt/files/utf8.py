"""Text files in UTF-8: any other encoding is told, and how to convert it."""

from collections.abc import Iterable, Iterator
from pathlib import Path


class NotUtf8(ValueError):
    """Bytes of another encoding than UTF-8.

    Attributes:
        line: The line of the first byte that is not UTF-8, from 1.
        reason: What is wrong, and the command that converts the file.
    """

    def __init__(self, err: UnicodeDecodeError, line: int = 1):
        utf_16 = err.object[:2] in (b"\xff\xfe", b"\xfe\xff")
        self.line = err.object[: err.start].count(b"\n") + line
        self.reason = (
            f"byte 0x{err.object[err.start]:02x} is not UTF-8: convert the file, for "
            f"example with iconv -f {'UTF-16' if utf_16 else 'WINDOWS-1252'} -t UTF-8"
        )
        super().__init__(self.reason)


def decode_utf8(data: bytes) -> str:
    """Decodes a file that should be UTF-8, with or without a byte-order mark.

    Args:
        data: The whole file, or its first part.

    Raises:
        NotUtf8: If it is in another encoding; says which it may be, and the fix.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise NotUtf8(err) from err


def utf8_lines(file: Iterable[bytes]) -> Iterator[str]:
    """Decodes a file that should be UTF-8, line by line, ends as they are.

    Raises:
        NotUtf8: At the first line that is in another encoding.
    """
    for number, line in enumerate(file, start=1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as err:
            raise NotUtf8(err, number) from err


def read_utf8(path: Path) -> str:
    """Reads a text file whole, line ends as they are.

    Raises:
        OSError: If it is not there or cannot be read.
        ValueError: If it is in another encoding; names the line.
    """
    try:
        return decode_utf8(path.read_bytes())
    except NotUtf8 as err:
        raise ValueError(f"{path}:{err.line}: {err.reason}") from err
