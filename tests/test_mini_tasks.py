"""The bundled mini tasks: balanced, made by the tool, and tested on unseen words."""

import re
from pathlib import Path

import make_mini_tasks
import pytest
from byte_vocabulary import byte_vocabulary
from make_mini_tasks import TASKS, Row
from mini_tasks import entailment, news, questions, sentiment
from mini_tasks.words import family

from jaxprompt.bundled import resolve
from jaxprompt.command.configure import configure
from jaxprompt.config import OfficialTask, OwnTask

MINI = Path(resolve("bundled:mini"))
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def made() -> dict[str, dict[str, list[Row]]]:
    return {name: make_mini_tasks.make_rows(task) for name, task in TASKS.items()}


def words_of(rows: list[Row]) -> set[str]:
    text = " ".join(" ".join(row.texts) for row in rows)
    return set(re.findall(r"[\w'-]+", text.lower()))


def test_the_tool_makes_what_is_bundled(tmp_path: Path):
    make_mini_tasks.write_tasks(tmp_path)
    files = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*.*"))
    assert len(files) == 12
    for file in files:
        assert (tmp_path / file).read_bytes() == (MINI / file).read_bytes(), file
    bundled = [path for path in MINI.rglob("*") if path.is_file()]
    assert sorted(path.name for path in bundled) == sorted(
        [*(file.name for file in files), "README.md"]
    )
    assert sum(path.stat().st_size for path in bundled) < 1_500_000


@pytest.mark.parametrize("name", TASKS)
def test_splits_are_balanced_and_share_no_row(made, name: str):
    rows = made[name]
    for split, size in zip(SPLITS, TASKS[name].sizes, strict=True):
        assert len(rows[split]) == size
        assert sum(row.label for row in rows[split]) == size / 2
    every = [row.texts for split in SPLITS for row in rows[split]]
    assert len(every) == len(set(every))
    for texts in every:
        for text in texts:
            assert re.fullmatch(r"[A-Z\"][\x20-\x7e]+[.?!\"]", text)
            assert not re.search(r"[{}_/=]|\ba [aeiou]|\ban [^aeiou]|  ", text)


@pytest.mark.parametrize("name", TASKS)
def test_validation_has_the_words_of_training(made, name: str):
    rows = made[name]
    assert words_of(rows["validation"]) <= words_of(rows["train"])


def test_no_opinion_word_of_the_test_is_seen_before(made):
    seen, held_out = sentiment.opinion_words(False), sentiment.opinion_words(True)
    assert not {family(word) for word in seen} & {family(word) for word in held_out}
    rows = made["sentiment"]
    assert not words_of(rows["train"] + rows["validation"]) & held_out
    assert len(held_out & words_of(rows["test"])) >= 70
    for row in rows["train"] + rows["test"]:
        (text,) = row.texts
        opinions = words_of([row]) & (seen | held_out)
        assert 2 <= len(opinions) <= 3, text
        assert 6 <= len(text.split()) <= 18, text


def test_no_word_of_both_polarities():
    sides = [
        " ".join(side.values()).split()
        for side in (sentiment.POSITIVE, sentiment.NEGATIVE, sentiment.NEUTRAL)
    ]
    for side in sides[:2]:
        assert len(side) == len(set(side)) >= 70
    assert not set(sides[0]) & set(sides[1])
    assert not set(sides[0] + sides[1]) & set(sides[2])


FRAMES = {
    "entailment": ["a an some the was by and in at on near behind"],
    "questions": [wording for frame in questions.FRAMES for wording in frame],
    "news": [wording for frame in news.FRAMES for wording in frame],
}
"""What both sides share: the words of the frames, and articles."""


@pytest.mark.parametrize("name", FRAMES)
def test_of_a_pair_nothing_but_the_frame_is_seen_before(made, name: str):
    rows = made[name]
    both = words_of(rows["train"] + rows["validation"]) & words_of(rows["test"])
    frame = re.sub(r"{[\w.]+}", " ", " ".join(FRAMES[name])).lower()
    assert both <= {*re.findall(r"[\w'-]+", frame), "a", "an"}


def entailed_words(premise: set[str]) -> set[str]:
    """The premise's words, its kinds and synonyms, and what the passive may need."""
    groups = [set(side.split("=")) for side in re.split("[ :]", entailment.ADJECTIVES)]
    groups += [set(forms.split("/")) for forms in re.split("[ :]", entailment.VERBS)]
    words = premise | {"was", "by", "a", "an"}
    for group in groups:
        words |= group if group & premise else set()
    for line in entailment.THINGS:
        kind, members = line.split(": ")
        words |= set(kind.split()) if premise & set(members.split()) else set()
    return words


def test_what_is_entailed_says_nothing_new(made):
    contradicted = 0
    for row in made["entailment"]["train"] + made["entailment"]["test"]:
        premise, hypothesis = (words_of([Row((text,), 0)]) for text in row.texts)
        says_no_more = hypothesis <= entailed_words(premise)
        assert says_no_more or row.label == 1, row
        contradicted += not says_no_more
    # The others tell who did what in another way, with the premise's own words.
    assert contradicted > 0.6 * 2000 / 2


@pytest.mark.parametrize(
    ("file", "label", "text"),
    [
        ("mini_sentiment", "good", "sentence: "),
        ("mini_entailment", "yes", "hypothesis: "),
        ("mini_questions", "yes", "question1: "),
        ("mini_news", "yes", "sentence1: "),
    ],
)
def test_every_split_loads_and_is_labelled(made, file: str, label: str, text: str):
    run, _ = configure(
        ["gin/runs/prompt_tuning.gin", f"gin/tasks/{file}.gin"], ["MODEL='m'"]
    )
    assert isinstance(run.data.task, OfficialTask | OwnTask)
    assert (run.data.task_name, run.data.scored_split) == (file, "test")
    assert run.evaluation.hand_written
    task = run.data.task.load(byte_vocabulary())
    assert task.labels is not None
    for split in SPLITS:
        task.check_labelled(split)
        rows = made[file.removeprefix("mini_")][split]
        for row, example in zip(rows, task.examples(split), strict=True):
            assert example.inputs.startswith(text)
            assert all(part in example.inputs for part in row.texts)
            assert example.targets == task.labels[row.label]
    assert label in task.labels
