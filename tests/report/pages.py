"""Reading HTML pages, as tests do."""

import html
import re
from html.parser import HTMLParser


def table_rows(text: str) -> list[list[str]]:
    """The table rows of a page, as texts."""
    found = re.findall(r"<tr.*?</tr>", text, re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in found]
    return [[html.unescape(re.sub("<.*?>", "", c)) for c in row] for row in cells]


def headings(text: str) -> list[str]:
    """The headings of a page's parts."""
    return re.findall("<h2>(.*?)</h2>", text)


class _Nesting(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        pass


def check_page(text: str) -> None:
    """Checks that a page is well formed, and needs nothing from elsewhere."""
    parser = _Nesting()
    parser.feed(text)
    assert parser.open == []
    for outside in ("<script", "<link", "<img", "@import", "src=", "http-equiv"):
        assert outside not in text
    # The only addresses are the names of the XML dialects that an SVG is written in.
    addresses = set(re.findall(r"https?://[^\"' ]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text
    identifiers = re.findall(r'\bid="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))
