"""Code as pages and docstrings have it, for the tests that run it."""

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

REPOSITORY = Path(__file__).resolve().parents[1]


def page(name: str) -> str:
    """The text of a page, as "docs/hub.md"."""
    return (REPOSITORY / name).read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def example_of(function: Callable[..., object]) -> str:
    """The code of a docstring's example."""
    text = inspect.getdoc(function) or ""
    (code,) = re.findall(r"^ {4}```python\n(.*?)^ {4}```", text, re.DOTALL | re.M)
    return dedent(code)


def run_code(code: str, **names: object) -> dict[str, object]:
    """Runs code with these names; returns all names after it."""
    exec(compile(code, "page", "exec"), names)
    return names
