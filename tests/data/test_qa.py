"""SQuAD and MRQA: official files and TFDS, t5's format, every gold answer counts."""

import gzip
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import seqio
import tensorflow as tf
import tensorflow_datasets as tfds

from jaxprompt.data.official.benchmarks.qa import MRQA
from jaxprompt.data.official.tasks import load_task
from jaxprompt.data.rows.batches import Lengths, train_batches
from jaxprompt.data.rows.requests import decode, request_batches
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.digest import data_hashes
from jaxprompt.data.tasks.metrics import squad as own_squad
from jaxprompt.data.tasks.task import Task
from jaxprompt.evaluate.evaluation_set import EvaluationSet
from jaxprompt.prompts.soft_ids import prefix

LENGTHS = Lengths(inputs=64, targets=16)
SOFT_IDS = prefix(num_rows=500, length=3)

KETTLE = "A kettle sings on the stove, every Friday."
BAKER = "Our baker sells two loaves\nfor the price of one.  "

# Ids in falling order, and space around texts, as the real files have here and there.
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Rain",
            "paragraphs": [
                {
                    "context": KETTLE,
                    "qas": [
                        {
                            "id": "q3",
                            "question": "What sings?",
                            "answers": [
                                {"text": "A kettle", "answer_start": 0},
                                {"text": "kettle sings", "answer_start": 2},
                            ],
                        },
                        {
                            "id": "q2",
                            "question": " When ? ",
                            "answers": [{"text": "every Friday", "answer_start": 29}],
                        },
                    ],
                },
                {
                    "context": BAKER,
                    "qas": [
                        {
                            "id": "q1",
                            "question": "Who sells 2 loaves?",
                            "answers": [{"text": "baker", "answer_start": 4}],
                        }
                    ],
                },
            ],
        }
    ],
}

MRQA_LINES: list[dict[str, Any]] = [
    {"header": {"dataset": "DROP", "split": "dev"}},
    {
        "context": f" {KETTLE} ",
        "context_tokens": [["A", 1]],
        "qas": [
            {
                "qid": "b",
                "question": " What sings?",
                "question_tokens": [],
                "answers": ["a kettle", "kettle"],
                "detected_answers": [{"text": "A kettle", "char_spans": [[1, 8]]}],
            },
            {"qid": "c", "question": "When?", "answers": ["Friday"]},
        ],
    },
    {
        "context": BAKER,
        "qas": [{"qid": "a", "question": "Who sells?", "answers": ["baker", "Baker"]}],
    },
]


def write_squad(folder: Path, content: object = SQUAD, name: str = "dev") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}-v1.1.json").write_text(json.dumps(content), "utf-8")


def jsonl(lines: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def texts(task: Task, split: str = "validation") -> list[tuple[str, str]]:
    return [example[:2] for example in task.examples(split)]


@pytest.fixture
def squad(tmp_path: Path, vocabulary) -> Task:
    write_squad(tmp_path / "squad")
    return load_task("squad", vocabulary=vocabulary, data_dir=tmp_path)


@pytest.fixture
def tfds_dir(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "tfds"
    tfds.disable_progress_bar()
    seqio.set_tfds_data_dir_override(str(folder))
    yield folder
    seqio.set_tfds_data_dir_override(None)


def test_the_format_is_t5s_in_the_order_of_ids(squad: Task):
    assert squad.labels is None
    assert squad.splits == ("validation",)
    assert texts(squad) == [
        (
            "question: Who sells 2 loaves ? context: Our baker sells two loaves for "
            "the price of one . ",
            "baker",
        ),
        (
            "question: When ? context: A kettle sings on the stove , every Friday . ",
            "every Friday",
        ),
        (
            "question: What sings ? context: A kettle sings on the stove , every "
            "Friday . ",
            "A kettle",
        ),
    ]


def test_counts_of_the_real_files(shared: Path, tmp_path: Path, vocabulary):
    folder = tmp_path / "SQuAD"
    folder.mkdir()
    real = shared / "data" / "squad"
    (folder / "dev-v1.1.json").symlink_to(real / "dev-v1.1.json")
    (folder / "train-v1.1.json").symlink_to(real / "train-subset-v1.1.json")
    task = load_task("squad", vocabulary=vocabulary, data_dir=tmp_path)
    assert task.splits == ("train", "validation")
    assert task.num_examples("train") == 11_877
    assert task.num_examples("validation") == 10_570
    rows = task.source.rows("validation")
    assert max(len(row["answers"]["text"]) for row in rows) == 6
    found = [
        (row["id"], row["question"], row["answers"]["text"])
        for row in (rows[0], rows[10_569])
    ]
    assert found == [
        (
            "56be4db0acb8001400a502ec",
            "Which NFL team represented the AFC at Super Bowl 50?",
            ["Denver Broncos"] * 3,
        ),
        (
            "5737aafd1c456719005744ff",
            "What is the seldom used force unit equal to one thousand newtons?",
            ["sthène"] * 5,
        ),
    ]


@pytest.mark.parametrize("packed", [True, False])
def test_mrqa_from_its_official_file(tmp_path: Path, vocabulary, packed: bool):
    content = jsonl(MRQA_LINES)
    (tmp_path / "mrqa").mkdir()
    if packed:
        (tmp_path / "mrqa" / "DROP.jsonl.gz").write_bytes(gzip.compress(content))
    else:
        (tmp_path / "mrqa" / "DROP.jsonl").write_bytes(content)
    task = load_task("mrqa_drop", vocabulary=vocabulary, data_dir=tmp_path)
    assert task.splits == ("validation",)
    kettle = "context: A kettle sings on the stove , every Friday . "
    assert texts(task) == [
        (
            "question: Who sells ? context: Our baker sells two loaves for the price "
            "of one . ",
            "baker",
        ),
        (f"question: What sings ? {kettle}", "a kettle"),
        (f"question: When ? {kettle}", "Friday"),
    ]
    targets = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS)).targets
    assert targets == [["baker", "Baker"], ["a kettle", "kettle"], ["Friday"]]


def test_every_set_of_mrqa_has_its_file(tmp_path: Path, vocabulary):
    names = {
        "mrqa_bio_asq": "BioASQ.jsonl.gz",
        "mrqa_drop": "DROP.jsonl.gz",
        "mrqa_duo_rc": "DuoRC.ParaphraseRC.jsonl.gz",
        "mrqa_race": "RACE.jsonl.gz",
        "mrqa_relation_extraction": "RelationExtraction.jsonl.gz",
        "mrqa_textbook_qa": "TextbookQA.jsonl.gz",
    }
    assert {task.name for task in MRQA} == set(names)
    for name, file in names.items():
        (tmp_path / file).write_bytes(gzip.compress(jsonl(MRQA_LINES)))
        task = load_task(name, vocabulary=vocabulary, data_dir=tmp_path)
        assert task.num_examples("validation") == 3
        (tmp_path / file).unlink()


def assert_same_examples(first: Task, second: Task) -> None:
    assert first.source.rows("validation") == second.source.rows("validation")
    assert first.examples("validation") == second.examples("validation")
    assert data_hashes(first, ["validation"]) == data_hashes(second, ["validation"])


def test_tfds_gives_the_same_squad(squad: Task, tfds_dir: Path, vocabulary):
    rows = [
        {
            "id": qa["id"],
            "title": "Rain",
            "context": paragraph["context"],
            "question": qa["question"],
            "answers": {
                name: [answer[name] for answer in qa["answers"]]
                for name in ("text", "answer_start")
            },
        }
        for paragraph in SQUAD["data"][0]["paragraphs"]
        for qa in paragraph["qas"]
    ]
    features = tfds.features.FeaturesDict(
        {
            "id": np.str_,
            "title": tfds.features.Text(),
            "context": tfds.features.Text(),
            "question": tfds.features.Text(),
            "answers": tfds.features.Sequence(
                {"text": tfds.features.Text(), "answer_start": np.int32}
            ),
        }
    )
    store(tfds_dir, "squad", "v1.1", "3.0.0", "validation", features, rows)
    assert_same_examples(squad, load_task("squad", vocabulary=vocabulary))


def test_tfds_gives_the_same_mrqa(tmp_path: Path, tfds_dir: Path, vocabulary):
    rows = [
        {
            "subset": "DROP",
            "context": line["context"].strip(),
            "qid": qa["qid"],
            "question": qa["question"].strip(),
            "answers": qa["answers"],
        }
        for line in MRQA_LINES[1:]
        for qa in line["qas"]
    ]
    features = tfds.features.FeaturesDict(
        {
            **dict.fromkeys(("subset", "context", "qid", "question"), np.str_),
            "answers": tfds.features.Sequence(np.str_),
        }
    )
    store(tfds_dir, "mrqa", "drop", "1.0.0", "test", features, rows)
    (tmp_path / "DROP.jsonl.gz").write_bytes(gzip.compress(jsonl(MRQA_LINES)))
    assert_same_examples(
        load_task("mrqa_drop", vocabulary=vocabulary, data_dir=tmp_path),
        load_task("mrqa_drop", vocabulary=vocabulary),
    )


def store(
    folder: Path,
    name: str,
    config: str,
    version: str,
    split: str,
    features: tfds.features.FeaturesDict,
    rows: list[dict[str, Any]],
) -> None:
    signature = features.get_tensor_spec()
    dataset = tf.data.Dataset.from_generator(
        lambda: iter(rows), output_signature=signature
    )
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        config=config,
        version=version,
        data_dir=folder,
        split_datasets={split: dataset},
        features=features,
    )


def test_scores_are_exact_match_and_f1_with_the_nearest_answer(squad: Task):
    rows = EvaluationSet(Sample(squad, "validation", LENGTHS, SOFT_IDS))
    # Wrong; two words of three; the second gold answer, apart from case and points.
    scores = rows.score_texts(["the stove", "on every Friday", "Kettle, SINGS!"])
    assert scores.metrics == {
        "em": pytest.approx(100 / 3),
        "f1": pytest.approx(100 * (0 + 2 * (2 / 3) / (2 / 3 + 1) + 1) / 3),
    }
    assert scores.score == pytest.approx(np.mean(list(scores.metrics.values())))
    # Any text is a legal answer.
    assert scores.illegal == 0
    assert rows.majority().predictions == ["baker"] * 3


def test_training_batches_padded_and_packed(tmp_path: Path, vocabulary):
    write_squad(tmp_path, name="train")
    task = load_task("squad", vocabulary=vocabulary, data_dir=tmp_path)
    wide = Lengths(inputs=400, targets=64)

    def first(lengths: Lengths, batch_size: int, pack: bool):
        batches = train_batches(
            task, "train", lengths, SOFT_IDS, batch_size=batch_size, seed=0, pack=pack
        )
        return next(batches)[0]

    padded, packed = first(wide, 3, pack=False), first(wide, 1, pack=True)
    assert (padded.inputs[:, :3] == SOFT_IDS).all()
    written = [vocabulary.encode(target) for _, target in texts(task, "train")]
    assert sorted(decode(vocabulary, padded.targets)) == sorted(
        decode(vocabulary, written)
    )
    assert packed.target_segments.max() == 3
    assert packed.targets[packed.targets != 0].tolist() == [
        i for row in padded.targets for i in row if i
    ]


def test_a_request_has_a_context_and_a_question(squad: Task):
    rows = [
        {"question": "Who sells 2 loaves?", "context": BAKER},
        {"question": " When ? ", "context": KETTLE, "id": "any", "answers": None},
        {"context": KETTLE, "question": "What sings?"},
    ]
    ((asked, _),) = request_batches(squad, rows, LENGTHS, SOFT_IDS, batch_size=3)
    evaluation = EvaluationSet(Sample(squad, "validation", LENGTHS, SOFT_IDS))
    ((evaluated, _),) = evaluation.batches(3)
    np.testing.assert_array_equal(asked.inputs, evaluated.inputs)
    with pytest.raises(ValueError, match=r"asked:1: no field 'context': the row has q"):
        request_batches(
            squad, [{"question": "Who?"}], LENGTHS, SOFT_IDS, 1, where="asked"
        )


def test_answers_are_free_text(tmp_path: Path, vocabulary):
    write_squad(tmp_path)
    with pytest.raises(ValueError, match="task squad: its answers are free text"):
        load_task(
            "squad",
            vocabulary=vocabulary,
            data_dir=tmp_path,
            label_words={"baker": "cook"},
        )


TEXTS = ["the Cat, sat", "cat sat", "a", "The", "x-y", "xy z", "cat cat dog", "", "1.5"]


def test_em_and_f1_of_own_answers_are_those_of_t5():
    from t5.evaluation import metrics

    draw = random.Random(0)
    worded = [text for text in TEXTS if text not in ("", "a", "The")]
    targets = [draw.choices(worded, k=draw.randint(1, 3)) for _ in range(300)]
    predictions = draw.choices(TEXTS, k=300)
    found = own_squad(targets, predictions)
    assert found == pytest.approx(metrics.squad(targets, predictions))
