"""Markdown made of data: text is text and never markup, as HTML already has it."""

import re
import shlex
from collections.abc import Sequence

import jinja2
import markupsafe

from jaxprompt.report.text.table import lay_out
from jaxprompt.screen.quoting import visible

# CommonMark takes a backslash before any punctuation as "this character itself".
_MARKUP = re.compile(
    r"[\\`*\[\]<|~$#]|&(?=\#?\w+;)"
    r"|(?<![^\W_])_|_(?![^\W_])"  # Within a word it is no markup.
)
_AT_START = re.compile(r"^(\d*)([-+=.)](?=[-+=\s]|$)|>)")
"""Of a quotation, a list, a rule, or the line below a heading."""

_OPEN_BAR = re.compile(r"(?<!\\)\|")


class Markdown(str):
    """Text that is Markdown already, and is put into a document as it is."""


def markdown(value: object) -> Markdown:
    r"""Returns Markdown, of one line, that shows a value's text as it is.

    What is not printable is shown as `quoting.visible` does; what is Markdown already
    stays.
    """
    if isinstance(value, Markdown):
        return value
    escaped = _MARKUP.sub(r"\\\g<0>", visible(str(value)).strip(" "))
    return Markdown(_AT_START.sub(r"\1\\\2", escaped))


def code(text: str) -> Markdown:
    """Returns a code span that shows a text as it is, on one line."""
    text = visible(text)
    ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    # A reader takes one space off where there is one on both sides.
    inner = f" {text} " if "`" in text or text[:1] == text[-1:] == " " else text
    return Markdown(f"{ticks}{inner}{ticks}")


def fenced(text: str, language: str) -> Markdown:
    """Returns a block of code, which no line of the text ends."""
    lines = [visible(line) for line in text.strip().split("\n")]
    fence = "```"
    while any(fence in line for line in lines):
        fence += "`"
    return Markdown("\n".join([f"{fence}{language}", *lines, fence]))


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> Markdown:
    """Lays out a table as `table.table` does, for a file of Markdown.

    Args:
        header: Names of the columns.
        rows: Cells; None is shown as "-", and what is `Markdown` as it is.
    """
    return Markdown(lay_out(header, rows, _cell))


def _cell(value: object) -> str:
    # A bar ends a cell even within code.
    return _OPEN_BAR.sub(r"\\|", markdown(value))


def render_markdown(template: str, **values: object) -> str:
    """Fills in a template of Markdown: whatever it inserts is shown as it is.

    What is meant for another place than the text passes through a filter: `tojson` for
    YAML and Python, `shell` for a word of a command, `html` within HTML.

    Args:
        template: Name of a file in templates/.
        values: What it needs; what is `Markdown` is inserted as it is.
    """
    return _TEMPLATES.get_template(template).render(**values)


def _finish(value: object) -> object:
    # What a filter returns is escaped for its place already.
    return value if isinstance(value, markupsafe.Markup) else markdown(value)


def _shell(text: str) -> Markdown:
    return Markdown(shlex.quote(visible(text)))


def _html(text: str) -> markupsafe.Markup:
    return markupsafe.escape(visible(text))


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("jaxprompt.report"),
    undefined=jinja2.StrictUndefined,
    finalize=_finish,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
_TEMPLATES.filters |= {"shell": _shell, "html": _html, "code": code}
