"""Tokens are grouped by shared neighbours, and neighbours measured for likeness."""

import itertools

import numpy as np
import pytest

from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.report.reading.clusters import group_tokens, measure_cohesion
from jaxprompt.report.reading.nearest import nearest_ids

DRAW = np.random.default_rng(3)


def test_tokens_that_share_a_neighbour_are_one_cluster_even_by_way_of_a_third():
    ids = [[7, 1], [3, 2], [4, 5], [5, 7], [6, 5], [2, 3], [8, 9]]
    first, second = group_tokens(np.array(ids))
    assert first.tokens == (0, 2, 3, 4)
    assert first.words == ((5, 3), (7, 2)), "most shared first; unshared not at all"
    assert second.tokens == (1, 5)
    assert second.words == ((3, 2), (2, 2)), "nearest first"


def test_tokens_that_share_nothing_are_in_no_cluster():
    assert group_tokens(np.array([[0, 1], [2, 3]])) == []
    assert group_tokens(np.array([[4, 1]])) == []


def mean_cosine(rows: np.ndarray) -> float:
    pairs = itertools.combinations(rows / np.linalg.norm(rows, axis=1)[:, None], 2)
    return float(np.mean([one @ other for one, other in pairs]))


def test_cohesion_is_the_mean_cosine_of_all_pairs():
    table = DRAW.normal(1.0, 1.0, (30, 8)).astype(np.float32)
    ids = np.array([[0, 4, 9], [20, 21, 22]])
    among = np.arange(30) < 25
    cohesion = measure_cohesion(table, ids, among=among)
    assert cohesion is not None
    own = np.mean([mean_cosine(table[row]) for row in ids])
    assert cohesion.neighbours == pytest.approx(own, rel=1e-5)
    assert cohesion.random_words == pytest.approx(mean_cosine(table[:25]), rel=1e-5)
    # Neighbours of any vector are more alike than words that nothing has chosen.
    assert cohesion.random_words < cohesion.of_random_vectors < 1
    assert measure_cohesion(table, ids[:, :1]) is None, "one neighbour has no pair"


def test_tokens_within_lexical_clusters_have_more_alike_neighbours_than_random_ones():
    centres = DRAW.normal(size=(40, 1, 16))
    table = (centres + 0.3 * DRAW.normal(size=(40, 5, 16))).reshape(200, 16)
    table = table.astype(np.float32)
    prompt = make_prompt(3 * centres[:7, 0].astype(np.float32))
    ids, _ = nearest_ids(table, prompt, 5)
    cohesion = measure_cohesion(table, ids)
    assert cohesion is not None
    assert cohesion.neighbours > cohesion.of_random_vectors + 0.2
    assert cohesion == measure_cohesion(table, ids), "the random vectors are the same"
