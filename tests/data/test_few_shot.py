"""Few-shot learning: which rows a seed gets to train on, and which to choose by."""

import json
from collections import Counter
from pathlib import Path

import pytest

from jaxprompt.config import Data
from jaxprompt.data.tasks.few_shot import FewRows, few_shot_task
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.task import Task

LABELS = {"0": "no", "1": "maybe", "2": "yes"}


@pytest.fixture(scope="module")
def task(tmp_path_factory, vocabulary) -> Task:
    """90 rows, of which 60, 20 and 10 have each label, and 6 to test on."""
    folder = tmp_path_factory.mktemp("few")
    labels = [0] * 60 + [1] * 20 + [2] * 10
    rows = [{"text": f"film {n}", "label": label} for n, label in enumerate(labels)]
    for split, some in (("train", rows), ("validation", rows[:2] + rows[-2:])):
        lines = "".join(json.dumps(row) + "\n" for row in some)
        (folder / f"{split}.jsonl").write_text(lines)
    return file_task(
        "own",
        files={s: folder / f"{s}.jsonl" for s in ("train", "validation")},
        inputs="{text}",
        target="label",
        labels=LABELS,
        vocabulary=vocabulary,
    )


def rows_of(task: Task, split: str = "train") -> set[tuple[str, str]]:
    found = [example[:2] for example in task.examples(split)]
    assert len(set(found)) == len(found)
    return set(found)


def test_every_label_has_as_many_rows_and_none_is_in_both(task):
    few = few_shot_task(task, "train", FewRows(per_class=5), seed=3)
    train, development = rows_of(few), rows_of(few, "development")
    assert Counter(word for _, word in train) == {"no": 5, "maybe": 5, "yes": 5}
    assert Counter(word for _, word in development) == {"no": 5, "maybe": 5, "yes": 5}
    assert not train & development
    assert train | development <= rows_of(task)
    assert rows_of(few, "validation") == rows_of(task, "validation")
    assert set(few.splits) == {"train", "validation", "development"}


def test_a_seed_has_its_own_rows_and_always_the_same(task):
    first, again, other = (
        few_shot_task(task, "train", FewRows(per_class=4), seed) for seed in (1, 1, 2)
    )
    for split in ("train", "development"):
        assert rows_of(first, split) == rows_of(again, split) != rows_of(other, split)


@pytest.mark.parametrize("balanced", [None, False])
def test_more_rows_keep_those_that_were_there(task, balanced):
    sizes = [6, 9, 15]
    found = [
        few_shot_task(task, "train", FewRows(examples=n, balanced=balanced), seed=0)
        for n in sizes
    ]
    for split in ("train", "development"):
        sets = [rows_of(few, split) for few in found]
        assert [len(rows) for rows in sets] == sizes
        assert sets[0] < sets[1] < sets[2]


def test_shares_are_equal_but_for_what_is_left(task):
    few = few_shot_task(task, "train", FewRows(examples=14), seed=0)
    counts = Counter(word for _, word in rows_of(few))
    assert sorted(counts.values()) == [4, 5, 5]
    assert Counter(word for _, word in rows_of(few, "development")) == counts


def test_without_a_balance_labels_are_as_frequent_as_in_the_split(task):
    few = few_shot_task(task, "train", FewRows(examples=45, balanced=False), seed=0)
    counts = Counter(word for _, word in rows_of(few))
    assert counts["no"] > counts["maybe"] + counts["yes"]
    assert rows_of(few) | rows_of(few, "development") == rows_of(task)


@pytest.mark.parametrize(
    ("few", "error"),
    [
        (
            FewRows(per_class=6),
            "label 'yes' .* has 10 rows, but 6 .* 12: use fewer, or leave SHOTS_PER",
        ),
        (FewRows(examples=46, balanced=False), "has 90 rows, but 46 .* are 92"),
    ],
)
def test_too_few_rows_are_told_with_both_numbers(task, few, error):
    with pytest.raises(ValueError, match=error):
        few_shot_task(task, "train", few, seed=0)


def test_free_text_has_no_balance(tmp_path: Path, vocabulary):
    path = tmp_path / "free.jsonl"
    path.write_text("".join(json.dumps({"q": f"film {n}"}) + "\n" for n in range(8)))
    free = file_task(
        "free", files=path, inputs="{q}", target="q", vocabulary=vocabulary
    )
    few = few_shot_task(free, "train", FewRows(examples=4), seed=0)
    assert rows_of(few) | rows_of(few, "development") == rows_of(free)
    with pytest.raises(ValueError, match="whose answers are no label words"):
        few_shot_task(free, "train", FewRows(per_class=2), seed=0)


def test_settings_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match="use 1 or more of one of them"):
        Data(shots_per_class=4, train_examples=4)
    with pytest.raises(ValueError, match="balanced True, but training takes all rows"):
        Data(balanced=True)
    with pytest.raises(ValueError, match="4 shots per class are balanced"):
        Data(shots_per_class=4, balanced=False)
