"""The page in a real browser: what it asks, shows, and how it is used."""

import json
import urllib.request

import pytest
from browser import browsing, find_chromium
from served_models import serving, write_model, write_prompts

TEXT = "a good film"
SET = "document.getElementById({!r}).value = {!r}"


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    find_chromium()
    folder = tmp_path_factory.mktemp("page")
    write_model(folder)
    write_prompts(folder, {"pair": (3, 0)})
    with serving(folder, "--bank=bank") as server:
        yield server


@pytest.fixture
def page(server, tmp_path):
    with browsing(tmp_path / "profile") as page:
        page.send("Page.navigate", url=f"{server.url}/")
        page.wait_for("document.querySelectorAll('#prompts input').length == 8")
        yield page


def answer(server, route, **body):
    request = urllib.request.Request(
        f"{server.url}/v1/{route}", json.dumps(body).encode()
    )
    with urllib.request.urlopen(request) as answer:
        return json.loads(answer.read())


def columns(page, what):
    names = page.run("[...document.querySelectorAll('h2')].map(x => x.textContent)")
    script = f"[...document.querySelectorAll('article {what}')].map(x => x.textContent)"
    return dict(zip(names, page.run(script), strict=True))


def test_answers_of_several_prompts_stand_side_by_side(server, page):
    page.run(SET.format("text", TEXT))
    page.run(SET.format("tokens", "6"))
    page.run("document.querySelector('button.main').click()")
    page.wait_for(
        "[...document.querySelectorAll('article .told')]"
        ".filter(x => x.textContent.includes('tokens/s')).length == 3"
    )
    said = columns(page, ".said")
    assert len(said) == 3
    for name, text in said.items():
        whole = answer(server, "completions", model=name, prompt=TEXT, max_tokens=6)
        assert text == whole["choices"][0]["text"]
    assert '"max_tokens":6' in page.run("document.getElementById('curl').textContent")
    assert page.problems == []


def test_class_probabilities_are_bars(server, page):
    page.run(SET.format("text", TEXT))
    page.run(SET.format("labels", "good, bad"))
    page.run("document.getElementById('classify').click()")
    page.wait_for("document.querySelectorAll('.bar').length == 6")
    for name, label in columns(page, ".said").items():
        found = answer(
            server, "classify", model=name, input=TEXT, labels=["good", "bad"]
        )
        assert found["data"][0]["label"] == label
    widths = page.run(
        "[...document.querySelectorAll('.bar i')].map(x => x.style.width)"
    )
    assert all(0 <= float(width.removesuffix("%")) <= 100 for width in widths)
    # The words are in the text's own color: over a short bar they lie on the page.
    colors = page.run(
        "['body', '.bar span'].map(x => getComputedStyle(document.querySelector(x)))"
        ".map(x => x.color)"
    )
    assert colors[0] == colors[1]
    assert page.problems == []


def test_a_prompt_of_several_fields_is_asked_with_all_of_them(server, page):
    box = "document.querySelector('#prompts input[value={}]').click()"
    for name in ("model", "amid", "deep", "pair"):
        page.run(box.format(name))
    row = {"premise": "it rains", "hypothesis": "it is wet"}
    for field, text in row.items():
        page.run(SET.format(f"field-{field}", text))
    assert page.run("document.getElementById('text').disabled")
    page.run("document.getElementById('classify').click()")
    page.wait_for("document.querySelectorAll('.bar').length == 2")
    found = answer(server, "classify", model="pair", input=row)
    assert columns(page, ".said") == {"pair": found["data"][0]["label"]}
    page.run(box.format("pair"))
    assert page.run("document.querySelectorAll('#fields textarea').length") == 0
    assert page.problems == []


def test_it_is_used_by_keyboard_alone(page):
    page.run("document.querySelector('#text').focus()")
    page.send("Input.insertText", text=TEXT)
    page.send(
        "Input.dispatchKeyEvent",
        type="keyDown",
        key="Enter",
        windowsVirtualKeyCode=13,
        modifiers=2,
    )
    page.wait_for("document.querySelectorAll('article').length == 3")
    reached = []
    page.run("document.querySelector('#prompts input').focus()")
    for _ in range(12):
        page.press("Tab", 9)
        reached.append(page.run("document.activeElement.id"))
    assert {"text", "tokens", "temperature", "classify"} <= {*reached}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_readable_in_the_dark(page, scheme):
    page.send(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=740,
        deviceScaleFactor=2,
        mobile=True,
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.send("Emulation.setEmulatedMedia", features=[feature])
    assert page.run("document.documentElement.scrollWidth") <= 360
    found = page.run(
        "(() => { const of = (x, y) => getComputedStyle(document.querySelector(x))[y];"
        " return [of('body', 'color'), of('button.main', 'color'),"
        " of('button.main', 'backgroundColor')]; })()"
    )
    text, on, under = (brightness(color) for color in found)
    assert text > 0.8 if scheme == "dark" else text < 0.2
    light, dark = max(on, under), min(on, under)
    # Source: WCAG 2.2, 1.4.3: a contrast of 4.5 or more.
    assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_nearest_words_of_a_prompt_are_told(page):
    page.run(SET.format("text", TEXT))
    page.run("document.querySelectorAll('#prompts input')[4].click()")
    page.run("document.getElementById('classify').click()")
    page.wait_for("document.querySelectorAll('article details').length >= 1")
    page.run("document.querySelectorAll('article details').forEach(x => x.open = true)")
    page.wait_for(
        "[...document.querySelectorAll('article details p')]"
        ".some(x => x.textContent.startsWith('1: '))"
    )


def brightness(color: str) -> float:
    """Returns the relative luminance of "rgb(r, g, b)", as WCAG defines it."""
    parts = [float(x) / 255 for x in color.split("(")[1].rstrip(")").split(",")[:3]]
    linear = [
        x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in parts
    ]
    return sum(w * x for w, x in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
