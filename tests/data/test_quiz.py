"""The Japanese quiz: its files, its two losses, its score, and how words ask it."""

import json
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.command.configure import configure
from jaxprompt.config import QuizTask
from jaxprompt.data.pretraining.tokenizer import train_vocabulary, write_vocabulary
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.quiz import quiz_task, read_quiz
from jaxprompt.data.tasks.quiz_text import exact_match, extract_answer, normalise_answer
from jaxprompt.data.tasks.shots import asked_by_hand, training_examples
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.evaluation_set import EvaluationSet

ROWS = [
    ("映画『雨の町』の舞台は何市?", ["ジェット市", "ジェット"]),
    ("「海の星」と書く国はどこ?", ["海王国"]),
    ("一年で一番長い月は何月?", ["12月"]),
    ("赤い花を英語で何という?", ["Red Flower"]),
    ("森に住む白い鳥は何?", ["「白鳥」"]),
    ("町で一番高い山は何?", ["高山"]),
]
LENGTHS = Lengths(inputs=48, targets=48)
SOFT_IDS = np.array([900, 901], np.int32)


def write(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    path.write_text("".join(lines), "utf-8")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    rows = [
        {"qid": f"Q{n}", "question": question, "answers": answers, "number": str(n)}
        for n, (question, answers) in enumerate(ROWS)
    ]
    folder = tmp_path_factory.mktemp("data_dir")
    write(folder / "aio" / "aio_02_train.jsonl", rows)
    write(folder / "aio" / "aio_02_dev_v1.0.jsonl", rows[:4])
    return folder


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory):
    passages = [(question + answers[0],) for question, answers in ROWS]
    model = train_vocabulary(
        passages * 20, pieces=150, layout="rinna", leading_space=False
    )
    folder = tmp_path_factory.mktemp("vocabulary")
    path = write_vocabulary(folder, model, 0, "rinna")
    return load_vocabulary(path, causal=True)


@pytest.fixture(scope="module")
def task(folder, vocabulary):
    return quiz_task("jaqket", folder, vocabulary=vocabulary)


def texts(task, split, rows):
    """Inputs and targets as texts, with the separator written out."""
    layout = layout_of(task, LENGTHS, SOFT_IDS[:0])
    made = layout.padded(task.pairs(split, range(rows)))

    def text(ids):
        return task.vocabulary.decode(ids.tolist())

    # What the first target follows on has moved behind the inputs.
    moved = made.target_inputs[:, 0]
    inputs = [
        np.append(ids[segments > 0], last)
        for ids, segments, last in zip(
            made.inputs, made.input_segments, moved, strict=True
        )
    ]
    return [(text(a), text(b)) for a, b in zip(inputs, made.targets, strict=True)]


def test_the_answer_follows_the_question_and_the_separator(task):
    assert texts(task, "train", 6) == [(q + "[SEP]", a[0]) for q, a in ROWS]
    assert task.num_examples("validation") == 4
    assert task.labels is None


def test_the_loss_may_be_on_the_question_too_in_training_alone(folder, vocabulary):
    whole = quiz_task("q", folder, vocabulary=vocabulary, loss="full_text")
    answers = quiz_task("q", folder, vocabulary=vocabulary)
    assert [out for _, out in texts(whole, "train", 6)] == [
        f"{question}[SEP]{found[0]}" for question, found in ROWS
    ]
    # Nothing precedes the text but the end of another.
    assert {inputs for inputs, _ in texts(whole, "train", 6)} == {""}
    assert texts(whole, "validation", 4) == texts(answers, "validation", 4)


def test_the_separator_can_be_another(folder, vocabulary):
    task = quiz_task("q", folder, vocabulary=vocabulary, separator="[CLS]")
    assert task.examples("train")[0].inputs == ROWS[0][0] + "[CLS]"


def test_any_answer_counts_and_the_score_is_the_normalised_match_alone(task):
    rows = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS))
    # Another of the answers, full-width letters, another case, and a wrong one.
    scores = rows.score_texts(["ジェット", "海王国", "\uff11\uff12 月", "blue flower"])
    assert scores.metrics == {"exact_match": 75.0, "exact_match_raw": 50.0}
    assert scores.score == 75.0
    assert scores.metric == "exact_match"
    assert scores.illegal == 0
    assert rows.majority().score == 25.0


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("「ジェット団」", "ジェット団"),
        ("『ﾌﾗﾝｽ』。", "フランス"),
        ("\uff21\uff22\uff23", "abc"),
        ("Do It Yourself", "do it\u3000yourself"),
        ('"START"', "Start"),
        ("(12)", "\uff0812\uff09"),
        ("'x'", "x"),
        ("「君の名は。」", "君の名は"),
    ],
)
def test_spellings_of_one_answer_are_the_same(one, other):
    assert normalise_answer(one) == normalise_answer(other) != ""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ジェット団", "ジェット"),
        ("「A」と", "Aと"),
        ("3.0", "30"),
        ("ハハ", "ババ"),
    ],
)
def test_other_answers_are_not(one, other):
    assert normalise_answer(one) != normalise_answer(other)


def test_a_mark_of_one_character_stays():
    assert normalise_answer("「") == "「"
    assert exact_match([["「"]], [""]) == {"exact_match": 0, "exact_match_raw": 0}


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        ("ジェット団です.次の", "ジェット団"),
        ("ジェット団。日本", "ジェット団"),
        ("ジェット団[SEP]次です", "ジェット団"),
        (" ジェット団 \nです", "ジェット団"),
        ("ジェット団", "ジェット団"),
        ("です.", ""),
    ],
)
def test_the_answer_ends_where_the_sentence_does(said, answer):
    assert extract_answer(said) == answer


def test_the_hand_written_prompt_is_the_originals_to_the_letter(task):
    shots = training_examples(task, "train", 5, seed=3)
    pairs = {f"{q}この答えは{a[0]}です.": q for q, a in ROWS}
    assert len(set(shots)) == 5
    assert set(shots) <= set(pairs)
    run, _ = configure(["gin/recipes/jaqket/prompt_tuning.gin"], [])
    assert run.evaluation.examples_in_input == 5
    asked = asked_by_hand(
        task, run.evaluation.hand_written, split="train", shots=5, seed=3
    )
    assert asked is not None
    head = "日本語のクイズを出題するので,与えられた質問に対する回答を答えてください."
    assert asked.before == "[SEP]".join([head, *shots, ""])
    rows = EvaluationSet(Sample(asked, "validation", LENGTHS, SOFT_IDS))
    assert rows.inputs[0] == ROWS[0][0] + "この答えは"


def test_the_answer_is_cut_out_of_what_follows_the_hand_written_prompt(task):
    said = ["ジェット市です.[SEP]次", "海王国。", "知りません", "Red flowerです."]
    asked = EvaluationSet(Sample(task.asked_in_words, "validation", LENGTHS, SOFT_IDS))
    assert asked.score_texts(said).metrics == {
        "exact_match": 75.0,
        "exact_match_raw": 50.0,
    }
    # The task itself takes an answer as it stands.
    plain = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS))
    assert plain.score_texts(said).score == 25.0


def test_full_text_does_not_change_the_shots(folder, vocabulary, task):
    whole = quiz_task("q", folder, vocabulary=vocabulary, loss="full_text")
    # In words there are inputs, whatever the loss of training is on.
    assert training_examples(whole, "train", 3, 0) == training_examples(
        task, "train", 3, 0
    )


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"question": "何?"}, r"dev_v1\.0\.jsonl:1: answers is None"),
        ({"question": "何?", "answers": []}, "answers is .*a list of one text or more"),
        ({"question": "何?", "answers": "a"}, "answers is a: use a list"),
        ({"question": "何?", "answers": ["a", " "]}, "none of them empty"),
        ({"question": " ", "answers": ["a"]}, ":1: the question is empty"),
        ({"answers": ["a"]}, "no field 'question'"),
    ],
)
def test_a_malformed_row_is_one_clear_error(tmp_path, vocabulary, row, says):
    path = write(tmp_path / "aio_02_dev_v1.0.jsonl", [row])
    with pytest.raises(ValueError, match=says):
        read_quiz(path)
    task = quiz_task("q", tmp_path, vocabulary=vocabulary)
    with pytest.raises(ValueError, match=says):
        task.num_examples("validation")


def test_a_mistake_in_the_settings_is_one_clear_error(folder, tmp_path, vocabulary):
    with pytest.raises(FileNotFoundError, match=r"aio_02_train\.jsonl, aio_02_dev"):
        quiz_task("q", tmp_path, vocabulary=vocabulary).check_split("train")
    with pytest.raises(ValueError, match="unknown loss 'all': use one of"):
        quiz_task("q", folder, vocabulary=vocabulary, loss="all")
    with pytest.raises(ValueError, match="separator '' has no characters"):
        quiz_task("q", folder, vocabulary=vocabulary, separator="")
    with pytest.raises(ValueError, match="jaqket has no DATA_DIR"):
        QuizTask().load(vocabulary).check_split("train")


def test_the_official_files_are_read_whole(shared, vocabulary):
    task = quiz_task("q", shared / "data" / "aio", vocabulary=vocabulary)
    assert task.num_examples("train") == 22_335
    assert task.num_examples("validation") == 1_000
    rows = EvaluationSet(Sample(task, "validation", LENGTHS, SOFT_IDS, num_examples=20))
    assert all(len(answers) == 1 for answers in rows.targets)
    gold = rows.score_texts(rows.texts)
    assert gold.metrics == {"exact_match": 100.0, "exact_match_raw": 100.0}
