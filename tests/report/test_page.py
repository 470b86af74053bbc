"""A page holds what it was given, safely, and needs nothing from elsewhere."""

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from jaxprompt.report.pages.page import PromptFacts, ShownExample, write_page
from jaxprompt.report.plots.curves import Curve, make_panels
from jaxprompt.report.reading.drift import Drift
from jaxprompt.report.reading.nearest import SoftToken

RESULT = {
    "trains": "prompt",
    "task": "sst2",
    "backbone": "t5-tiny",
    "split": "test",
    "examples": 400,
    "metric": "f1+accuracy",
    "score": 81.26,
    "majority": 50.0,
    "untuned": 52.5,
    "illegal": 0.015,
    "untuned_illegal": 0.9,
}
CURVES = {
    "loss": Curve((1, 2), (2.0, 1.0)),
    "validation/score": Curve((2,), (80.0,)),
}


def page(folder: Path, result: dict | None = None, **parts) -> str:
    path = folder / "report.html"
    write_page(path, result or RESULT, **parts)
    return path.read_text(encoding="utf-8")


def rows(text: str) -> list[list[str]]:
    """The table rows, as texts."""
    found = re.findall(r"<tr.*?</tr>", text, re.DOTALL)
    cells = [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row, re.DOTALL) for row in found]
    return [[html.unescape(re.sub("<.*?>", "", c)) for c in row] for row in cells]


def test_every_method_stands_beside_its_score_and_its_illegal_answers(tmp_path: Path):
    found = rows(page(tmp_path))
    assert found[1:] == [
        ["majority class", "50.0", "-"],
        ["frozen model, no prompt", "52.5", "90.0%"],
        ["prompt tuning", "81.3", "1.5%"],
    ]
    written = {**RESULT, "hand_written": 60.0, "hand_written_illegal": 0.25}
    assert rows(page(tmp_path, written))[3] == ["hand-written prompt", "60.0", "25.0%"]
    assert rows(page(tmp_path, {**RESULT, "hand_written": 60.0}))[3][2] == "-"
    tuned = page(tmp_path, {**RESULT, "trains": "model"})
    assert rows(tuned)[-1][0] == "model tuning"


def test_all_parts_are_there(tmp_path: Path):
    text = page(
        tmp_path,
        panels=make_panels(CURVES, RESULT["metric"]),
        prompt=PromptFacts([SoftToken(7.04, [("good", 0.5), ("fine", 0.25)])]),
        examples=[ShownExample("a dull book", "negative", "")],
        facts={"seed": 3},
        commands=["jaxprompt inspect --prompt=p.safetensors"],
    )
    found = rows(text)
    assert ["0", "7.0", "good (0.50), fine (0.25)"] in found
    assert ["a dull book", "negative", "(nothing)"] in found
    assert ["seed", "3"] in found
    assert text.count("<svg") == 2
    assert "<pre>jaxprompt inspect --prompt=p.safetensors</pre>" in text


def test_drift_and_findings_stand_with_the_soft_tokens_where_they_are_known(
    tmp_path: Path,
):
    tokens = [SoftToken(7.04, [("good", 0.5)], Drift(3.21, 0.876))]
    text = page(tmp_path, prompt=PromptFacts(tokens, findings=["a < b", "c"]))
    found = rows(text)
    assert found[-2][2:4] == ["cosine with its start", "distance from it"]
    assert found[-1] == ["0", "7.0", "0.88", "3.2", "good (0.50)"]
    assert '<li class="text">a &lt; b</li>' in text
    plain = page(tmp_path, prompt=PromptFacts([SoftToken(7.04, [])]))
    assert "distance from it" not in plain
    assert "<ul>" not in plain


def test_parts_that_a_run_lacks_leave_no_empty_heading(tmp_path: Path):
    assert re.findall("<h2>(.*?)</h2>", page(tmp_path)) == ["Results"]


def test_text_of_the_data_is_text_and_never_markup(tmp_path: Path):
    bad = "<script>alert('x')</script>"
    text = page(
        tmp_path,
        {**RESULT, "task": bad, "backbone": bad},
        examples=[ShownExample(bad, bad, bad)],
        prompt=PromptFacts([SoftToken(1.0, [(bad, 1.0)])]),
        facts={bad: bad},
        commands=[bad],
    )
    assert "<script" not in text
    assert text.count("&lt;script&gt;") == 11


def test_the_page_stands_alone_in_light_and_dark_on_any_width(tmp_path: Path):
    text = page(tmp_path, panels=make_panels(CURVES))
    for outside in ("<script", "<link", "<img", "@import", "src=", "http-equiv"):
        assert outside not in text
    # The only addresses are the names of the XML dialects that an SVG is written in.
    addresses = set(re.findall(r"https?://[^\"' ]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "prefers-color-scheme: dark" in text
    assert "width=device-width" in text


class Nesting(HTMLParser):
    """Checks that every element that is opened is closed, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_markup_is_well_formed_and_the_same_every_time(tmp_path: Path):
    parts = {
        "panels": make_panels(CURVES),
        "prompt": PromptFacts([SoftToken(1.0, [], Drift(1, 1))], ["a"]),
        "examples": [ShownExample("a", "b", "c")],
        "facts": {"seed": 0},
        "commands": ["true"],
    }
    text = page(tmp_path, **parts)
    parser = Nesting()
    parser.feed(text)
    assert parser.open == []
    assert page(tmp_path, **parts) == text


def test_a_missing_folder_is_told(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match=r"no folder .* for report\.html"):
        write_page(tmp_path / "none" / "report.html", RESULT)
