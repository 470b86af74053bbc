"""Colours are told apart by every eye, on light and on dark pages."""

import itertools
from xml.etree import ElementTree

import numpy as np
import pytest

from jaxprompt.report.plots.drawing import (
    COLOURS,
    INK,
    new_figure,
    style,
    svg_element,
    wrap,
)

PAPERS = ("#ffffff", "#16181d")
"""Backgrounds of the pages, light and dark."""

EYES = {
    "all cones": np.eye(3),
    "no long cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "no medium cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "no short cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""Linear RGB as it is seen; Machado, Oliveira and Fernandes 2009, table 1."""

TO_XYZ = np.array(
    [
        [0.4124, 0.3576, 0.1805],
        [0.2126, 0.7152, 0.0722],
        [0.0193, 0.1192, 0.9505],
    ]
)
"""From linear sRGB; IEC 61966-2-1."""


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    return np.where(
        values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4
    )


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2."""
    low, high = sorted(TO_XYZ[1] @ linear(colour) for colour in (one, other))
    return (high + 0.05) / (low + 0.05)


def cielab(rgb: np.ndarray) -> np.ndarray:
    white = TO_XYZ.sum(axis=1)
    scaled = TO_XYZ @ np.clip(rgb, 0, 1) / white
    root = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    x, y, z = root
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("eye", EYES)
def test_every_eye_tells_the_colours_apart(eye: str):
    seen = {c: cielab(np.array(EYES[eye]) @ linear(c)) for c in COLOURS}
    for one, other in itertools.combinations(COLOURS, 2):
        # A difference of 2.3 is just noticed; side by side, that is.
        assert np.linalg.norm(seen[one] - seen[other]) > 25, (one, other)


@pytest.mark.parametrize("paper", PAPERS)
def test_every_colour_is_seen_on_the_page(paper: str):
    for colour in COLOURS:
        assert contrast(colour, paper) > 2.5, colour


def test_what_a_figure_shows_is_told_in_words_and_in_the_colour_of_the_page():
    figure = new_figure(2, 2, INK)
    style(figure.add_subplot(), INK, title='a "<b>" title', x="x", y="y")
    svg = svg_element(figure, name="one", label='a "<b>" title')
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == 'a "<b>" title'
    assert 'a "<b>" title' in [node.text for node in root.iter()]
    assert "currentColor" in svg
    assert INK not in svg


def test_a_long_label_is_broken_between_words():
    assert wrap("one two three", 8) == "one two\nthree"
    assert wrap("", 8) == ""
