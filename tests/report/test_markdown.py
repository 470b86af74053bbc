"""Text in Markdown is text: a reader of CommonMark shows it as it is."""

import html
import re

from amounts import examples
from hypothesis import example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from jaxprompt.report.text.markdown import (
    Markdown,
    code,
    fenced,
    markdown,
    markdown_table,
)
from jaxprompt.screen.quoting import visible

READER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

texts = st.text("\\`*_[]()<>|~$&#!-+=.:/\"'wax1 \n\t\r\x1b\u202e\u3000", max_size=24)


def shown(document: str, tag: str) -> str:
    """Returns what a reader shows between two tags, which are all that it makes."""
    (found,) = re.findall(rf"<{tag}>(.*?)</{tag}>", READER.render(document))
    return html.unescape(found)


@given(text=texts)
@example("# heading")
@example("1. list")
@example("123456. list")
@example("- list")
@example("---")
@example("===")
@example("__init__ and a_b_c")
@example("![picture](https://x.org/y.png)")
@example("<script>alert(1)</script> &copy; &#60;")
@example("a\\|b\\")
@example("end  ")
@example("`` ` ``")
@settings(max_examples=examples(300), deadline=None, derandomize=True, database=None)
def test_a_text_is_shown_as_it_is(text: str):
    expected = visible(text).strip(" ")
    if not expected:
        return
    assert shown(f"# {markdown(text)}", "h1") == expected
    assert shown(f"- {markdown(text)}", "li") == expected
    assert shown(f"**of {markdown(text)}.**", "strong") == f"of {expected}."
    table = markdown_table(["a"], [[text]])
    assert shown(table, "td") == expected


@given(text=texts)
@example("`")
@example(" `` a")
@example("a|b")
@settings(max_examples=examples(150), deadline=None, derandomize=True, database=None)
def test_code_is_shown_as_it_is(text: str):
    if not text.strip():
        return
    assert shown(f"of {code(text)} it", "code") == visible(text)


def test_a_cell_of_code_stays_one_cell():
    table = markdown_table(["a", "b"], [[code("x|y"), "z"]])
    assert re.findall("<td>(.*?)</td>", READER.render(table)) == [
        "<code>x|y</code>",
        "z",
    ]


def test_no_line_ends_a_block_of_code():
    block = fenced("a\n```\n# b\n````\x1b[31m\n", "gin")
    (token,) = READER.parse(block)
    assert token.type == "fence"
    assert token.info == "gin"
    assert token.content == "a\n```\n# b\n````\\x1b[31m\n"


def test_what_is_markdown_stays():
    assert markdown(Markdown("**a**")) == "**a**"
