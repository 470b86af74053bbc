"""QQP and MRPC, each scored in the other's words; and what the recipes ask for."""

from pathlib import Path

import numpy as np
import pytest

from jaxprompt.command.configure import configure
from jaxprompt.config import OfficialTask
from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.batches import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.soft_ids import prefix

RECIPES = "gin/recipes/lester2021"
LENGTHS = Lengths(inputs=64, targets=16)
SOFT_IDS = prefix(num_rows=500, length=3)
TRUTH = np.array([1, 0, 1, 1, 0, 1])

WORDS = {
    "qqp": ("not_duplicate", "duplicate"),
    "mrpc": ("not_equivalent", "equivalent"),
}
"""Task -> the words of the negative and the positive class."""

DIRECTIONS = [("qqp", "mrpc"), ("mrpc", "qqp")]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The official files of both tasks, with the same pairs."""
    folder = tmp_path_factory.mktemp("data_dir")
    headers = {
        "QQP": "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate",
        "MRPC": "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String",
    }
    for name, header in headers.items():
        rows = [
            f"{i}\t0\t0\train {i}\twet {i}\t{label}"
            if name == "QQP"
            else f"{label}\t0\t0\train {i}\twet {i}"
            for i, label in enumerate(TRUTH)
        ]
        (folder / name).mkdir()
        text = "\n".join([header, *rows, ""])
        (folder / name / "dev.tsv").write_text(text, "utf-8")
    return folder


def shifted(source: str, target: str, data_dir: Path, vocabulary) -> Task:
    """Loads the target as the recipe has it scored."""
    run, _ = configure(
        [f"{RECIPES}/table2_{source}_to_{target}.gin"], [f"DATA_DIR='{data_dir}'"]
    )
    (task,) = run.data.shift_to
    return task.load(vocabulary)


def scores_by_hand(source: str, answers: list[str]) -> dict[str, float]:
    """F1 of the positive class and accuracy; an illegal answer is a wrong one."""
    negative, positive = WORDS[source]
    legal = np.isin(answers, [negative, positive])
    predicted = np.where(legal, np.array(answers) == positive, 1 - TRUTH)
    hits = np.sum((predicted == 1) & (TRUTH == 1))
    f1 = 2 * hits / (np.sum(predicted == 1) + np.sum(TRUTH == 1))
    return {"f1": 100 * f1, "accuracy": 100 * np.mean(predicted == TRUTH)}


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_the_source_says_the_targets_labels(data_dir, vocabulary, source, target):
    task = shifted(source, target, data_dir, vocabulary)
    trained = load_task(source, vocabulary=vocabulary, data_dir=data_dir)
    assert task.name == target
    assert task.labels == trained.labels == WORDS[source]
    np.testing.assert_array_equal(task.label_ids(32), trained.label_ids(32))

    rows = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS))
    assert rows.texts == [WORDS[source][label] for label in TRUTH]
    assert rows.targets == TRUTH.tolist()
    first = {
        "mrpc": "sentence1: rain 0 sentence2: wet 0",
        "qqp": "question1: rain 0 question2: wet 0",
    }
    assert rows.inputs[0] == first[target]


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_answers_in_the_sources_words_count(data_dir, vocabulary, source, target):
    task = shifted(source, target, data_dir, vocabulary)
    rows = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS))
    no, yes = WORDS[source]
    for answers in (
        [yes, no, yes, yes, no, yes],
        [yes, yes, no, yes, no, no],
        [no, yes, no, no, yes, no],
        [yes] * 6,
    ):
        found = rows.score_texts(answers)
        assert found.metrics == pytest.approx(scores_by_hand(source, answers))
        assert found.illegal == 0
    perfect = rows.score_texts(rows.texts)
    assert perfect.metrics == {"f1": 100, "accuracy": 100}


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_answers_in_the_targets_own_words_are_illegal(
    data_dir, vocabulary, source, target
):
    task = shifted(source, target, data_dir, vocabulary)
    rows = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS))
    own = [WORDS[target][label] for label in TRUTH]
    assert rows.score_texts(own).metrics == {"f1": 0, "accuracy": 0}
    assert rows.score_texts(own).illegal == 1
    no, yes = WORDS[source]
    mixed = [yes, no, WORDS[target][1], yes, WORDS[target][0], no]
    found = rows.score_texts(mixed)
    assert found.metrics == pytest.approx(scores_by_hand(source, mixed))
    # Of three answers that are or count as positive, two are right, of four there are.
    assert found.metrics["f1"] == pytest.approx(100 * 2 * 2 / (3 + 4))
    assert found.metrics["accuracy"] == pytest.approx(100 * 3 / 6)
    assert found.illegal == pytest.approx(2 / 6)


@pytest.mark.parametrize(("source", "target"), DIRECTIONS)
def test_the_majority_class_answers_in_the_sources_word(
    data_dir, vocabulary, source, target
):
    task = shifted(source, target, data_dir, vocabulary)
    rows = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS))
    majority = rows.majority()
    assert majority.predictions == [WORDS[source][1]] * 6
    assert majority.metrics == pytest.approx(
        {"f1": 100 * 2 * 4 / (6 + 4), "accuracy": 100 * 4 / 6}
    )
    assert majority.illegal == 0


def test_decoded_ids_are_the_words_that_are_scored(data_dir, vocabulary):
    task = shifted("qqp", "mrpc", data_dir, vocabulary)
    assert task.decode(task.label_ids(32)) == list(WORDS["qqp"])


@pytest.mark.parametrize(
    ("recipe", "trained", "scored"),
    [
        ("table2_qqp_to_mrpc", "qqp", ["mrpc"]),
        ("table2_mrpc_to_qqp", "mrpc", ["qqp"]),
        (
            "table1_squad_to_mrqa",
            "squad",
            [
                "mrqa_textbook_qa",
                "mrqa_bio_asq",
                "mrqa_race",
                "mrqa_relation_extraction",
                "mrqa_duo_rc",
                "mrqa_drop",
            ],
        ),
    ],
)
def test_a_recipe_trains_one_task_and_scores_others(recipe, trained, scored):
    run, config = configure([f"{RECIPES}/{recipe}.gin"], ["DATA_DIR='data'"])
    assert isinstance(run.data.task, OfficialTask)
    assert run.data.task == OfficialTask(name=trained, data_dir="data")
    assert [task.label for task in run.data.shift_to] == scored
    assert {task.data_dir for task in run.data.shift_to} == {"data"}
    # The paper's settings, and none of the target's data in training or choosing.
    assert (run.pace.steps, run.batch_size, run.prompt.length) == (30_000, 32, 100)
    assert (run.optimizer.learning_rate, run.seeds) == (0.3, 3)
    assert (run.data.train_split, run.data.scored_split) == ("train", "validation")
    # A prompt file holds the bridge between the label words too.
    assert configure([], [], start=config) == (run, config)
