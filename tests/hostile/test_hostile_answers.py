"""Right answers of awkward text score the most by every metric, or it is said why."""

import json
from pathlib import Path

import pytest
from amounts import examples
from hostile_input import STRANGE
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from jaxprompt.bundled import resolve
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.metrics import METRICS, OF_NUMBERS
from jaxprompt.data.tasks.own import LABEL_METRICS, file_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.soft_ids import prefix

VOCABULARY = load_vocabulary(resolve("bundled:nano"))
OF_TEXTS = [name for name in METRICS if name not in OF_NUMBERS]
LENGTHS, SOFT_IDS = Lengths(inputs=20, targets=20), prefix(num_rows=500, length=2)

AWKWARD = (
    "a < b",
    "{x}",
    "½ cup",
    "two\nlines",
    "two  spaces",
    " around ",
    "tab\there",
    "\uff21\uff22\uff11 wide",
    "e\u0301 composed",
    "the",
    "+",
    "...",
    "日本",
    "2 ⁇ 3",
)
awkward = st.one_of(
    st.sampled_from([*AWKWARD, *(x for x in STRANGE if len(x) < 100)]),
    st.text(max_size=20),
)


def rows_of(path: Path, texts: list[str], metrics, labels=None) -> EvaluationSet:
    path.write_text("".join(json.dumps({"a": text}) + "\n" for text in texts))
    task = file_task(
        "own",
        files=path,
        inputs="x",
        target="a",
        labels=labels,
        metrics=tuple(metrics),
        vocabulary=VOCABULARY,
    )
    return EvaluationSet(Sample(task, "train", LENGTHS, SOFT_IDS))


def answer(text: str) -> str:
    """What a model says that has every token of the text right."""
    return VOCABULARY.decode([*VOCABULARY.encode(text), VOCABULARY.eos_id])


def can_write(text: str) -> bool:
    ids = VOCABULARY.encode(text)
    return not {0, VOCABULARY.eos_id, VOCABULARY.unk_id} & {*ids}


@given(texts=st.lists(awkward, min_size=1, max_size=6))
@example(texts=[*AWKWARD, *STRANGE[:-1]])
@settings(max_examples=examples(3))
def test_right_answers_score_the_most(tmp_path: Path, texts: list[str]):
    # BLEU needs four words, and ROUGE letters from a to z.
    texts = [f"one two three four {text}" for text in filter(can_write, texts)]
    assume(texts)
    rows = rows_of(tmp_path / "rows.jsonl", texts, OF_TEXTS)
    scores = rows.score_texts([answer(text) for text in texts]).metrics
    assert scores.keys() > {"accuracy", "sequence_accuracy", "em", "bleu", "rouge2"}
    assert all(value == pytest.approx(100) for value in scores.values()), scores
    assert not any("right answers" in sentence for sentence in rows.limits())


@given(texts=st.lists(awkward, min_size=1, max_size=6))
@example(texts=list(AWKWARD))
@settings(max_examples=examples(3))
def test_or_it_is_said_why_not(tmp_path: Path, texts: list[str]):
    rows = rows_of(tmp_path / "rows.jsonl", texts, OF_TEXTS)
    scores = rows.score_texts([answer(text) for text in texts]).metrics
    said = " ".join(rows.limits())
    for name, value in scores.items():
        assert value == pytest.approx(100) or f"{name} {value:.1f}" in said
    for number, text in enumerate(texts, start=1):
        if not can_write(text):
            assert "characters that the vocabulary cannot write" in said
            assert f"rows.jsonl:{number}: " in said
            break


@given(texts=st.lists(awkward, min_size=2, max_size=2))
@settings(max_examples=examples(5))
def test_label_words_are_told_apart_or_refused(tmp_path: Path, texts: list[str]):
    assume(texts[0] != texts[1])
    labels = dict(zip("ab", texts, strict=True))
    rows = rows_of(tmp_path / "rows.jsonl", [*"abba"], LABEL_METRICS, labels)
    task = rows._task
    if answer(texts[0]) == answer(texts[1]):
        with pytest.raises(ValueError, match="are not told apart by the vocabulary"):
            task.label_ids(100)
        return
    answers = task.decode(task.label_ids(100)[[0, 1, 1, 0]])
    scores = rows.score_texts(answers).metrics
    assert all(value == pytest.approx(100) for value in scores.values()), scores
