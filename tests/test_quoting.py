"""Text is shown on one line, whole, and so that nothing in it hides."""

import pytest

from jaxprompt.screen.quoting import cut, listed, quoted, quoted_path, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("plain caf\xe9 \u6587 \\d", "plain caf\xe9 \u6587 \\d"),
        ("C:\\data\train", "C:\\\\data\\train"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x9b31m", "\\x9b31m"),
        ("a\r\nb", "a\\r\\nb"),
        ("\u202etxt.exe", "\\u202etxt.exe"),
        ("\u2066a\u2069", "\\u2066a\\u2069"),
        ("a\xa0b", "a\\xa0b"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_obey_or_hide_is_seen(text: str, seen: str):
    assert visible(text) == seen
    assert seen.isprintable()


def test_a_path_is_quoted_where_it_would_not_be_seen():
    assert quoted_path("runs/a b") == "runs/a b"
    assert quoted_path("C:\\data\\rows") == "C:\\data\\rows"
    assert quoted_path("C:\\data\train") == "'C:\\\\data\\train'"
    assert len(quoted_path("x" * 5000)) < 1100


def test_values_are_on_one_line_and_not_too_long():
    assert quoted("a\nb") == "'a\\nb'"
    assert quoted(["x"] * 99) == f"{str(['x'] * 99)[:60]}..."
    assert quoted(10**5000) == "a number of thousands of digits"
    assert cut("x" * 61) == "x" * 60 + "..."


def test_names_are_listed_and_the_rest_counted():
    assert listed(["a", "b\n"]) == "a, 'b\\n'"
    assert listed(map(str, range(9)), most=2) == "0, 1 and 7 more"
    assert listed([]) == "nothing"
