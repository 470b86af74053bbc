"""Small JSON files, such as config.json: one object, or one error that says the fix."""

from pathlib import Path
from typing import Any

from jaxprompt.files.strict_json import NotJson, parse_json
from jaxprompt.files.utf8 import NotUtf8, decode_utf8
from jaxprompt.screen.quoting import quoted_path

LARGEST = 2**26
"""Bytes: several times what the index of the largest models takes."""


def read_json_object(
    path: Path, fix: str, *, undefined: bool = False
) -> dict[str, Any]:
    """Reads a file that holds one JSON object.

    Args:
        path: The file, in UTF-8, with or without a byte-order mark.
        fix: What to do if it is absent or unsound, for the end of the error.
        undefined: Whether NaN and Infinity are read, as by `parse_json`.

    Returns:
        The object. What its values are is for the caller to check.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a folder, cannot be read, is larger than `LARGEST`, is in
            another encoding, is empty, holds anything else than one object, or is
            what `parse_json` refuses: a key named twice, or more than 100 levels.
    """
    where = quoted_path(path)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError(f"{where} is no file: {fix}")
        if size > LARGEST:
            raise ValueError(
                f"{where} has {size:,} bytes, where {LARGEST:,} are plenty: {fix}"
            )
        text = decode_utf8(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError) as err:
        folder = quoted_path(path.parent)
        raise FileNotFoundError(f"no {path.name} in {folder}: {fix}") from err
    except OSError as err:
        raise ValueError(f"{where} cannot be read: {err.strerror}: {fix}") from err
    except NotUtf8 as err:
        raise ValueError(f"{where} is not JSON: line {err.line}: {err.reason}") from err
    return parse_json_object(text, where, fix, undefined=undefined)


def parse_json_object(
    text: str, where: str, fix: str, *, undefined: bool = False
) -> dict[str, Any]:
    """Parses a text that is one JSON object; see `read_json_object`.

    Args:
        text: The text.
        where: What it is, for the beginning of the error.
        fix: What to do if it is unsound, for the end of the error.
        undefined: Whether NaN and Infinity are read.

    Raises:
        ValueError: If it is anything else.
    """
    if not text.strip():
        raise ValueError(f"{where} is empty, where a JSON object should be: {fix}")
    try:
        value = parse_json(text, several_lines=True, undefined=undefined)
    except NotJson as err:
        raise ValueError(f"{where} is not JSON: {err.reason}: {fix}") from err
    if not isinstance(value, dict):
        raise ValueError(f"{where} holds no JSON object but a {_name(value)}: {fix}")
    return value


def _name(value: Any) -> str:
    names = {list: "list", str: "text", bool: "truth value", type(None): "null"}
    return names.get(type(value), "number")
