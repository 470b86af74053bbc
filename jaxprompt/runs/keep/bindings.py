"""Reads which values a run's gin text gives to which names."""

import re


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
