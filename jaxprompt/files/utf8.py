"""Text files in UTF-8: any other encoding is told, and how to convert it."""

from collections.abc import Iterable, Iterator
from pathlib import Path


class NotUtf8(ValueError):
    """Bytes of another encoding than UTF-8.

    Attributes:
        line: The line of the first byte that is not UTF-8, from 1.
        reason: What is wrong, and the command that converts the file.
    """

    def __init__(self, data: bytes, start: int, line: int = 1):
        """Says what is wrong with the byte at `start` of what begins at `line`."""
        self.line = data[:start].count(b"\n") + line
        encoding = _utf_16(data) or "WINDOWS-1252"
        self.reason = (
            f"byte 0x{data[start]:02x} is not UTF-8: convert the file, for example "
            f"with iconv -f {encoding} -t UTF-8"
        )
        super().__init__(self.reason)


def decode_utf8(data: bytes) -> str:
    """Decodes a file that should be UTF-8, with or without a byte-order mark.

    Args:
        data: The whole file, or its first part.

    Raises:
        NotUtf8: If it is in another encoding; says which it may be, and the fix.
    """
    if _utf_16(data):  # Of English text these bytes are UTF-8 too, half of them zeros.
        raise NotUtf8(data, max(data[:2].find(0), 0))
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise NotUtf8(data, err.start) from err


def utf8_lines(file: Iterable[bytes]) -> Iterator[str]:
    """Decodes a file that should be UTF-8, line by line, ends as they are.

    Raises:
        NotUtf8: At the first line that is in another encoding.
    """
    for number, line in enumerate(file, start=1):
        if number == 1:
            yield decode_utf8(line)
            continue
        try:
            yield line.decode("utf-8")
        except UnicodeDecodeError as err:
            raise NotUtf8(line, err.start, number) from err


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


def _utf_16(data: bytes) -> str | None:
    """Returns the name of the UTF-16 that a file begins with; None for none."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return "UTF-16"
    zeros = [byte == 0 for byte in data[:4]]
    if zeros == [False, True, False, True]:
        return "UTF-16LE"
    return "UTF-16BE" if zeros == [True, False, True, False] else None
