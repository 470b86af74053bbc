"""The page of a matrix of transfer: heatmap by type, tables, prompts in a plane."""

import dataclasses
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.report.pages.transfer_page import MatrixFacts, write_transfer_page
from jaxprompt.report.plots.heatmap import by_type, heatmap_svg
from jaxprompt.report.plots.plane import neighbour_plane, principal_plane
from jaxprompt.transfer.matrix import ScoreMatrix
from jaxprompt.transfer.named import NamedPrompts

TASKS = ("mnli", "imdb", "own", "snli", "sst2", "rotten_tomatoes")
MATRIX = ScoreMatrix(
    TASKS, (*TASKS, "random"), np.linspace(1, 90, 42).reshape(6, 7), (*TASKS, "")
)


def facts(tmp_path: Path) -> MatrixFacts:
    draw = np.random.default_rng(0)
    provenances = [
        Provenance(
            backbone="model",
            revision=None,
            fingerprint="2:a",
            length=3,
            width=4,
            task=x,
        )
        for x in TASKS
    ]
    prompts = NamedPrompts(
        TASKS,
        tuple(make_prompt(jnp.asarray(draw.normal(size=(3, 4)))) for _ in TASKS),
        tuple(provenances),
        tuple(tmp_path / name for name in TASKS),
    )
    chance = np.full(6, 50.0)
    return MatrixFacts(
        MATRIX,
        MATRIX.above_chance(chance),
        ["accuracy"] * 6,
        [100] * 6,
        chance.tolist(),
        prompts,
    )


def test_page_has_tables_heatmap_and_planes(tmp_path: Path):
    shown = facts(tmp_path)
    write_transfer_page(tmp_path / "a.html", shown)
    write_transfer_page(tmp_path / "b.html", shown)
    page = (tmp_path / "a.html").read_text()
    assert page == (tmp_path / "b.html").read_text()
    assert page.count("<svg") == 4
    assert page.count("(Score - chance) / (own score - chance)") >= 2
    assert "same type above chance" in page
    for text in ("Above chance, %", "t-SNE", "sentiment", "rotten_tomatoes", "2:a"):
        assert text in page
    few = dataclasses.replace(shown, prompts=shown.prompts.take([0, 1]))
    write_transfer_page(tmp_path / "few.html", few)
    assert (tmp_path / "few.html").read_text().count("<svg") == 2


def test_tasks_and_prompts_stand_by_type():
    rows, columns = by_type(MATRIX)
    assert [TASKS[row] for row in rows] == [
        *("imdb", "sst2", "rotten_tomatoes", "mnli", "snli", "own"),
    ]
    assert [MATRIX.sources[column] for column in columns][-2:] == ["own", "random"]
    assert "own prompt" in heatmap_svg(MATRIX, MATRIX.relative())


def test_planes_keep_what_is_near():
    draw = np.random.default_rng(0)
    centres = np.repeat([[0.0], [50.0]], 5, axis=0)[:, :, None]
    rows = (centres + draw.normal(size=(10, 2, 3))).astype(np.float32)
    points, kept = principal_plane(rows)
    assert kept > 0.9
    for plane in (points, neighbour_plane(rows)):
        assert plane.shape == (10, 2)
        apart = np.linalg.norm(plane[:, None] - plane[None], axis=-1)
        np.fill_diagonal(apart, np.inf)
        assert ((apart.argmin(axis=1) < 5) == (np.arange(10) < 5)).all()
