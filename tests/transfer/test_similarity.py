"""Similarities of prompts: plain definitions, dead rows, the published prompts."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.runs.transfer.similarity import compare, rows_mask
from jaxprompt.transfer.similarity import SIMILARITIES, similarities

GOLDEN = Path(__file__).parents[1] / "golden" / "transferability"


def test_of_two_prompts_by_hand():
    one, other = np.array([[3.0, 0.0], [0.0, 4.0]]), np.array([[0.0, 4.0], [0.0, 4.0]])
    found = similarities(np.stack([one, other]))
    assert found["E_concat"][0, 1] == pytest.approx(1 / (1 + 5))
    assert found["E_average"][0, 1] == pytest.approx(1 / (1 + (5 + 5 + 0 + 0) / 4))
    assert found["C_concat"][0, 1] == pytest.approx(16 / (5 * np.sqrt(32)))
    assert found["C_average"][0, 1] == pytest.approx((0 + 0 + 1 + 1) / 4)
    assert found["C_meanpool"][0, 1] == pytest.approx(2 * 4 / (2.5 * 4))
    for name in SIMILARITIES:
        np.testing.assert_array_equal(found[name], found[name].T)
    for name in ("E_concat", "C_concat", "C_meanpool"):
        np.testing.assert_allclose(np.diag(found[name]), 1)


def test_rows_left_out_change_nothing():
    rows = np.random.default_rng(0).normal(size=(3, 4, 5)).astype(np.float32)
    dead = rows.copy()
    dead[:, 0] = [[1000], [0], [-7]]
    mask = rows_mask("1:", 4)
    for name, values in similarities(dead, mask).items():
        np.testing.assert_array_equal(values, similarities(rows, mask)[name])
    with pytest.raises(ValueError, match=r"row 0 of prompt 1 is zero, .*mask of rows"):
        similarities(dead)
    with pytest.raises(ValueError, match=r"a mask of 0 of 4 rows for prompts of 4"):
        similarities(rows, np.zeros(4, bool))
    with pytest.raises(ValueError, match=r"rows '3' are no slice: say 1: or :50"):
        rows_mask("3", 4)
    with pytest.raises(ValueError, match=r"rows 4: of prompts of 4 soft .* none"):
        rows_mask("4:", 4)


@pytest.mark.parametrize(
    ("prompts", "scores", "golden"),
    [
        ("prompts_RobertaLarge.npz", "RobertaLarge.csv", "roberta_large.json"),
        ("prompts_T5Small.npz", "T5Small.csv", "t5_small.json"),
    ],
)
def test_released_prompts_and_matrices(
    shared: Path, tmp_path: Path, capsys, prompts: str, scores: str, golden: str
):
    folder, output = shared / "data" / "transferability", tmp_path / "found.json"
    wanted = json.loads((GOLDEN / golden).read_text())
    found = compare(
        [folder / prompts],
        scores=folder / scores,
        expected=GOLDEN / golden,
        output=output,
    )
    assert json.loads(output.read_text()) == found
    pairs = {(pair["one"], pair["other"]): pair for pair in found["pairs"]}
    for pair in wanted.get("pairs", []):
        names = pair["one"], pair["other"]
        measured = pairs.get(names) or pairs[names[::-1]]
        for name in SIMILARITIES:
            assert measured[name] == pytest.approx(pair[name], abs=6e-7)
    for name, groups in wanted.get("means", {}).items():
        assert found["means"][name] == pytest.approx(groups, abs=6e-5)
    for name, variants in wanted["spearman"].items():
        for variant, one in variants.items():
            measured = found["spearman"][name][variant]
            # Published with one decimal of hundredths; ties there are ranked apart.
            assert measured["value"] == pytest.approx(one["value"], abs=1e-3)
            assert measured["low"] < measured["value"] < measured["high"]
    told = capsys.readouterr().out
    assert "per_target_excl_self" in told
    assert "beside what is expected" in told


def test_scores_that_nothing_can_be_correlated_with_are_told(tmp_path: Path, capsys):
    draw = np.random.default_rng(0)
    names = ("sst2", "mnli", "qqp")
    np.savez(tmp_path / "prompts.npz", **{n: draw.normal(size=(2, 4)) for n in names})
    lines = ["target\\source,sst2,mnli,qqp", *(f"{name},,," for name in names)]
    (tmp_path / "above_chance.csv").write_text("\n".join(lines) + "\n")
    compare([tmp_path / "prompts.npz"], scores=tmp_path / "above_chance.csv")
    told = capsys.readouterr().out
    assert "nan" not in told
    assert "there is nothing to correlate: no task has two or more known" in told
