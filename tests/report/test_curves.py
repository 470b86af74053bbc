"""Curves are read as they were logged, and drawn the same every time."""

import json
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from jaxprompt.report.plots.curves import (
    Curve,
    make_panels,
    read_curves,
    to_svg,
    write_png,
)

FALLING = Curve((1, 2, 3), (3.0, 2.0, 1.0))
FLAT = Curve((1, 2, 3), (3.0, 3.0, 3.0))


def write_log(path: Path, *lines: dict) -> Path:
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def letters(svg: str) -> list[str]:
    """The texts that are drawn, which are texts in the file too."""
    return [node.text or "" for node in ElementTree.fromstring(svg).iter() if node.text]


def test_scalars_are_read_by_name_and_gaps_are_left_out(tmp_path: Path):
    log = write_log(
        tmp_path / "metrics.jsonl",
        {"step": 10, "loss": 2.5, "accuracy": 0.5},
        {"step": 20, "loss": None, "accuracy": 0.75},
        {"step": 20, "validation/score": 61.0},
        {"step": 30, "loss": 1.5, "accuracy": 1.0},
    )
    assert read_curves(log) == {
        "loss": Curve((10, 30), (2.5, 1.5)),
        "accuracy": Curve((10, 20, 30), (0.5, 0.75, 1.0)),
        "validation/score": Curve((20,), (61.0,)),
    }


@pytest.mark.parametrize("line", ["{", "[1]", '{"loss": 1.0}', '{"step": null}'])
def test_another_file_is_refused_with_its_line(tmp_path: Path, line: str):
    log = tmp_path / "metrics.jsonl"
    log.write_text(f'{{"step": 1, "loss": 2.0}}\n{line}\n')
    with pytest.raises(ValueError, match=r"metrics\.jsonl:2: not a JSON object with a"):
        read_curves(log)
    with pytest.raises(FileNotFoundError, match=r"no log .*none\.jsonl: name the"):
        read_curves(tmp_path / "none.jsonl")


def test_a_prompts_run_shows_its_loss_and_its_score_with_units():
    curves = {"loss": FALLING, "accuracy": FLAT, "validation/score": FLAT}
    loss, score = make_panels(curves, "f1+accuracy")
    assert (loss.title, loss.unit) == ("Training loss", "nats per target token")
    assert score.unit == "mean of f1, accuracy (points)"
    assert {"Training loss", "training steps", loss.unit} <= {*letters(to_svg(loss))}


def test_pre_training_shows_the_loss_with_its_own_and_with_anothers_encoder_input():
    curves = {"validation/score": FLAT}
    for objective in ("", "prefix_lm/", "deshuffle/"):
        curves[f"validation/{objective}loss"] = FALLING
        curves[f"validation/{objective}other_input_loss"] = FLAT
    panels = make_panels(curves)
    assert [panel.title for panel in panels] == [
        "Validation loss: all objectives",
        "Validation loss: prefix lm",
        "Validation loss: deshuffle",
    ]
    for panel in panels:
        assert [*panel.curves.values()] == [FALLING, FLAT]
        svg = to_svg(panel)
        assert {"own input", "another row's input"} <= {*letters(svg)}
        assert "fill-opacity: 0.2" in svg, "the gap is shaded"


def test_two_curves_of_other_steps_are_drawn_without_the_gap():
    curves = {
        "validation/loss": FALLING,
        "validation/other_input_loss": Curve((1, 3), (3.0, 3.0)),
    }
    (panel,) = make_panels(curves)
    assert "fill-opacity" not in to_svg(panel)


def test_a_bank_shows_one_plot_for_each_task_with_a_curve_for_each_seed():
    curves = {"loss": FALLING, "validation/score": FLAT}
    for member in ("rte-0", "rte-1", "my-own task-12"):
        curves[f"validation/{member}/score"] = FALLING
        curves[f"validation/{member}/f1"] = FLAT
    _, rte, own = make_panels(curves, {"rte": "f1+em", "my-own task": "accuracy"})
    assert (rte.title, rte.unit) == ("Validation score: rte", "mean of f1, em (points)")
    assert (own.title, own.unit) == (
        "Validation score: my-own task",
        "accuracy (points)",
    )
    assert rte.curves == {"seed 0": FALLING, "seed 1": FALLING}
    assert own.curves == {"seed 12": FALLING}
    assert rte.name.isidentifier()
    assert own.name.isidentifier()
    assert rte.name != own.name
    svg = to_svg(rte)
    assert {"seed 0", "seed 1"} <= {*letters(svg)}
    assert "fill-opacity" not in svg, "only the gap of two losses means something"


def test_no_log_no_panel():
    assert make_panels({"accuracy": FLAT}) == []


def test_a_drawing_is_the_same_every_time_in_the_colour_of_its_page(tmp_path: Path):
    panels = make_panels({"loss": FALLING, "validation/score": FLAT}, "accuracy")
    svgs = [to_svg(panel) for panel in panels]
    assert svgs == [to_svg(panel) for panel in panels]
    assert all("currentColor" in svg and "#000" not in svg for svg in svgs)
    identifiers = [name for svg in svgs for name in re.findall(r'\bid="([^"]+)"', svg)]
    assert len(identifiers) == len(set(identifiers)), "they share one page"
    used = {name for svg in svgs for name in re.findall(r"#([\w.-]+)\b", svg)}
    assert {name for name in used if "-" in name} <= set(identifiers)

    first, second = tmp_path / "1.png", tmp_path / "2.png"
    write_png(first, panels)
    write_png(second, panels)
    assert first.read_bytes() == second.read_bytes()
    assert first.read_bytes().startswith(b"\x89PNG")


def test_a_picture_of_nothing_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"no curves to draw in losses\.png"):
        write_png(tmp_path / "losses.png", [])
