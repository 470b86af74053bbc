"""A reading of a prompt for the bundled model says what was put into the prompt."""

import json

import numpy as np
import pytest

from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.report.reading.prompt import (
    PromptReading,
    findings,
    read_prompt,
    read_rows,
    to_json,
)

LABELS = ("good", "bad", "dreadful")
TEXT = "good bad garden"


@pytest.fixture(scope="module")
def nano():
    backbone, model = load("bundled:nano")
    vocabulary = load_vocabulary(backbone.vocabulary)
    return np.asarray(backbone.table(model)), vocabulary


@pytest.fixture(scope="module")
def prompts(nano):
    """A start of three words, and an end where the second has become "good" too."""
    table, vocabulary = nano
    start = table[vocabulary.encode(TEXT)]
    end = 2 * start[[0, 0, 2]]
    return make_prompt(end), make_prompt(start)


@pytest.fixture(scope="module")
def reading(nano, prompts) -> PromptReading:
    table, vocabulary = nano
    prompt, start = prompts
    return read_prompt(table, prompt, vocabulary, 4, start=start, label_words=LABELS)


def test_every_part_is_of_these_tokens(reading: PromptReading, nano):
    table, vocabulary = nano
    assert [token.words[0][0] for token in reading.tokens] == ["good", "good", "garden"]
    good, _, garden = vocabulary.encode(TEXT)
    lengths = np.linalg.norm(table, axis=1)
    assert reading.norms.mean == pytest.approx(
        2 * (2 * lengths[good] + lengths[garden]) / 3
    )
    assert reading.vocabulary_norms is not None
    # Of 6,144 rows, the last 144 are sentinels, and the first three are controls.
    assert reading.vocabulary_norms.mean == pytest.approx(lengths[3:6000].mean())
    assert reading.vocabulary_norms.mean != pytest.approx(lengths.mean(), rel=1e-6)
    (cluster,) = reading.clusters
    assert cluster.tokens == (0, 1)
    assert ("good", 2) in cluster.words
    assert len(cluster.words) == 4
    kept = {label.word: (label.started, label.kept) for label in reading.label_words}
    assert kept == {"good": ((0,), (0,)), "bad": ((1,), ()), "dreadful": ((), ())}
    assert reading.cohesion is not None
    assert reading.cohesion.neighbours > reading.cohesion.random_words


def test_sentinels_and_controls_are_never_neighbours(nano):
    table, vocabulary = nano
    prompt = make_prompt(table[[0, 1, 2, 6000, 6143]])
    found = read_prompt(table, prompt, vocabulary, 10)
    ids = np.array([token.ids for token in found.tokens])
    assert ids.min() > 2
    assert ids.max() < 6000


def test_the_findings_are_one_line_each(reading: PromptReading):
    lines = findings(reading)
    assert lines[0].startswith(f"mean norm {reading.norms.mean:.1f} (percentiles")
    assert "; of the vocabulary's words " in lines[0]
    assert lines[1].startswith("mean distance from the start ")
    assert "label word 'good' is near soft tokens 0, 1" in lines
    assert any(
        line.startswith("label word 'dreadful' is near none; ") for line in lines
    )
    assert (
        "label words persisted: 1 of 2 soft tokens that started from one still have it "
        "among their 4 nearest words"
    ) in lines
    assert lines[-1].startswith("soft tokens 0, 1 share 'good' (2), ")


def test_rows_alone_tell_norms_and_drift(prompts):
    prompt, start = prompts
    reading = read_rows(prompt, start)
    assert [line.split()[:2] for line in findings(reading)] == [
        ["mean", "norm"],
        ["mean", "distance"],
    ]
    assert reading.tokens[0].drift is not None
    assert reading.tokens[0].drift.cosine == pytest.approx(1)
    assert len(findings(read_rows(prompt))) == 1


def test_json_holds_all_of_it(reading: PromptReading, prompts):
    content = json.loads(json.dumps(to_json(reading), allow_nan=False))
    assert (content["metric"], content["neighbours"]) == ("cosine", 4)
    token = content["tokens"][2]
    assert token["words"][0]["word"] == "garden"
    assert token["words"][0]["cosine"] == pytest.approx(1)
    assert token["drift"]["distance"] == pytest.approx(token["norm"] / 2)
    assert content["label_words"][0]["kept"] == [0]
    assert content["clusters"][0]["tokens"] == [0, 1]
    assert content["cohesion"].keys() >= {"neighbours", "random_words"}
    assert content["vocabulary_norms"]["mean"] > 0
    rows = json.loads(json.dumps(to_json(read_rows(prompts[0])), allow_nan=False))
    assert rows["vocabulary_norms"] is None
    assert rows["tokens"][0]["words"] == []


def test_a_long_prompt_is_summed_up_shortly(nano):
    table, vocabulary = nano
    prompt = make_prompt(np.repeat(table[vocabulary.encode("garden")], 30, axis=0))
    line = findings(read_prompt(table, prompt, vocabulary, 5))[-1]
    assert "soft tokens 0, 1, 2, 3, 4, 5, 6, 7 and 22 more share 'garden' (30)" in line
