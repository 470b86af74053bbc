"""Which values a run's gin text gives to which names; and other values for them."""

import re
from collections.abc import Mapping
from typing import Any


def read_bindings(config: str) -> dict[str, str]:
    """Reads "name = value" of gin text, as an operative_config.gin has it.

    Args:
        config: The text; a value goes on in lines that are indented.

    Returns:
        Name -> value as text, its white space evened out.
    """
    lines: dict[str, list[str]] = {}
    name = ""
    for line in config.splitlines():
        if found := re.match(r"([\w./]+) = ?(.*)", line):
            name, value = found.groups()
            lines[name] = [value]
        elif name and line.startswith(" "):
            lines[name].append(line)
        else:
            name = ""
    return {
        name: " ".join(" ".join(line.removesuffix("\\") for line in value).split())
        for name, value in lines.items()
    }


def resolve_bindings(config: str) -> dict[str, str]:
    """Reads the same with each macro's value in its place, and no macros.

    Args:
        config: The text.
    """
    bindings = read_bindings(config)
    return {
        name: bindings.get(value.removeprefix("%"), value)
        if value.startswith("%")
        else value
        for name, value in bindings.items()
        if "." in name
    }


def with_values(config: str, values: Mapping[str, Any]) -> str:
    """Gives other values to names, or to the macros that stand for them.

    Args:
        config: Gin text; "" stays "".
        values: Name with a dot in it -> its value, which Python's `repr` writes.
    """
    if not config:
        return ""
    bindings = read_bindings(config)
    lines = [
        f"{_macro_of(bindings.get(name, '')) or name} = {value!r}"
        for name, value in values.items()
    ]
    return "\n".join([config.rstrip("\n"), "", *lines, ""])


def _macro_of(value: str) -> str:
    return value.removeprefix("%") if value.startswith("%") else ""
