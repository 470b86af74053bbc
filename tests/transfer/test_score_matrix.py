"""The matrix of scores: relative, above chance, its file, and tasks' types."""

from pathlib import Path

import numpy as np
import pytest

from jaxprompt.transfer.categories import OTHER, SAME, category_of, pair_types
from jaxprompt.transfer.matrix import RANDOM, ScoreMatrix, read_matrix

SCORES = np.array([[90.0, 45.0, np.nan], [68.0, 80.0, 68.0]])
MATRIX = ScoreMatrix(("sst2", "mrpc"), ("SST2", "MRPC", "random"), SCORES)


def test_relative_and_above_chance():
    np.testing.assert_allclose(
        MATRIX.relative(), [[1, 0.5, np.nan], [0.85, 1, 0.85]], rtol=1e-12
    )
    above = MATRIX.above_chance(np.array([50.0, 68.0]))
    np.testing.assert_allclose(above, [[1, -0.125, np.nan], [0, 1, 0]], atol=1e-12)
    at_chance = MATRIX.above_chance(np.array([89.5, 68.0]), np.array([1.0, 1.0]))
    assert np.isnan(at_chance[0]).all()  # 90 is less than a point above 89.5.
    useless = ScoreMatrix(("a",), ("a", "b"), np.array([[0.0, 3.0]]))
    assert np.isnan(useless.relative()).all()
    assert np.isnan(useless.above_chance(np.zeros(1))).all()
    without_own = ScoreMatrix(("a",), ("b",), np.array([[1.0]]))
    assert np.isnan(without_own.relative()).all()


def test_means_by_type():
    names = ("sst2", "imdb", "mrpc", RANDOM)
    scores = np.array([[80.0, 60, 40, 20], [35, 70, 7, 14], [9, 27, 90, 45]])
    matrix = ScoreMatrix(names[:3], names, scores, (*names[:3], ""))
    means = matrix.group_means(matrix.relative())
    np.testing.assert_allclose(means[SAME], [0.75, 0.5, np.nan])
    np.testing.assert_allclose(means[OTHER], [0.5, 0.1, 0.2])
    np.testing.assert_allclose(means[RANDOM], [0.25, 0.2, 0.5])


def test_file(tmp_path: Path):
    path = tmp_path / "matrix.csv"
    path.write_text(MATRIX.to_csv())
    found = read_matrix(path)
    assert (found.targets, found.sources) == (MATRIX.targets, MATRIX.sources)
    np.testing.assert_array_equal(found.scores, SCORES)
    part = found.among(["mrpc", "sst2"])
    np.testing.assert_array_equal(part.scores, [[80, 68], [45, 90]])
    with pytest.raises(ValueError, match=r"no task 'qqp' in the matrix, .*sst2, mrpc"):
        found.among(["mrpc", "qqp"])
    for text, message in {
        "": r"matrix.csv is no matrix of scores: its first line names the prompts",
        "x,a\na,high\n": r"matrix.csv, line 2: could not convert .* 'high'",
        "x,a\na,1,2\n": r"matrix.csv, line 2: 2 scores for 1 prompts",
    }.items():
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            read_matrix(path)
    with pytest.raises(FileNotFoundError, match=r"no matrix at .*absent.csv"):
        read_matrix(tmp_path / "absent.csv")


def test_types_of_tasks():
    sentiment = ["IMDB", "SST-2", "sst2", "glue_sst2_v002", "movierationales"]
    assert {category_of(name) for name in sentiment} == {"sentiment"}
    assert category_of("snli") == category_of("MNLI") == "inference"
    assert category_of("own") is None
    tasks = ["own", "QQP", "MRPC", "own2"]
    groups = pair_types(tasks, tasks)
    assert groups[SAME].sum() == 2
    assert groups[SAME][1, 2]
    assert groups[OTHER].sum() == 10
