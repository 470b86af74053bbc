"""Questions about a text: files, the windows of a text, and where an answer stands."""

import json
import random
from pathlib import Path

import numpy as np
import pytest

from jaxprompt.bundled import resolve
from jaxprompt.data.read.files import Row
from jaxprompt.data.read.question_files import read_questions
from jaxprompt.data.rows.layout import Lengths, layout_of
from jaxprompt.data.rows.reading import Reading
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.tasks.answers import passages as passages_room
from jaxprompt.data.tasks.answers.passages import Passage
from jaxprompt.data.tasks.answers.spans import NEVER
from jaxprompt.data.tasks.metrics import squad, squad_2
from jaxprompt.data.tasks.questions import question_task
from jaxprompt.data.tasks.task import Example
from jaxprompt.data.tasks.windows import in_windows
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.evaluate.evaluation_set import EvaluationSet

REAL = Path(__file__).parents[3] / "shared/data"
WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "who", "?", *"abcdefgh", "##s"]
CONTEXT = "A b, Cs d  e f g h"
ANSWERED = {
    "id": "1",
    "question": "who ?",
    "context": CONTEXT,
    "answers": [{"text": "Cs d", "answer_start": 5}],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    (folder / "vocab.txt").write_text("".join(word + "\n" for word in WORDS))
    return folder


@pytest.fixture(scope="module")
def make(folder: Path):
    vocabulary = load_vocabulary(folder, encoder_only=True)

    def make(rows: list[dict], **options):
        path = folder / "rows.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        settings = {"stride": 2, "question_length": 2, **options}
        files = {"train": path}
        return question_task("own", files=files, vocabulary=vocabulary, **settings)

    return make


def squad_file(path: Path, *questions: dict) -> Path:
    paragraph = {"context": CONTEXT, "qas": list(questions)}
    content = {"version": "v2.0", "data": [{"title": "t", "paragraphs": [paragraph]}]}
    path.write_text(json.dumps(content))
    return path


def test_squads_own_file_and_json_lines_hold_the_same_questions(tmp_path):
    question = {name: x for name, x in ANSWERED.items() if name != "context"}
    none = {"id": "2", "question": "none?", "answers": [], "is_impossible": True}
    found = read_questions(squad_file(tmp_path / "dev.json", question, none))
    lines = tmp_path / "rows.jsonl"
    columns = {"text": ["Cs d"], "answer_start": [5]}
    other = {"id": "2", "question": "none?", "context": CONTEXT, "answers": []}
    rows = [{**ANSWERED, "answers": columns}, other]
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [one[1:] for one in read_questions(lines)] == [one[1:] for one in found]
    assert [(one.answers, one.start) for one in found] == [(("Cs d",), 5), ((), -1)]
    assert found[1].where.endswith("data[0]: paragraphs[0]: qas[1] (id '2')")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"answers": [{"text": "Cs", "answer_start": 4}]},
            r"rows.jsonl:2: answer 'Cs' does not stand at character 4 of its context, "
            r"where ' C' does",
        ),
        ({"answers": [{"text": "Cs"}]}, "an answer has text .Cs. and answer_start"),
        ({"answers": "Cs"}, r"rows.jsonl:2: answers is .Cs.: use a list"),
        (
            {"answers": {"text": ["Cs"], "answer_start": []}},
            "rows.jsonl:2: answers has 1 texts and 0 of answer_start",
        ),
        ({"question": " "}, "rows.jsonl:2: the question is empty"),
        ({"context": None}, "rows.jsonl:2: field 'context' is null"),
        ({"id": "1"}, "rows.jsonl: 2 questions have the id '1'"),
        ({"answers": []}, r"rows.jsonl:2: the question has no answer: set --gin.OwnSp"),
    ],
)
def test_a_malformed_row_is_named(make, changes, message):
    task = make([ANSWERED, {**ANSWERED, "id": "2", **changes}])
    with pytest.raises(ValueError, match=message):
        task.num_examples("train")


def test_a_malformed_question_of_squads_file_is_named_by_its_id(tmp_path):
    wrong = {"id": "x7", "question": "who", "answers": [{"text": "z"}]}
    with pytest.raises(ValueError, match=r"qas\[0\] \(id 'x7'\): an answer has text"):
        read_questions(squad_file(tmp_path / "dev.json", wrong))
    (tmp_path / "rows.csv").write_text("question\n")
    with pytest.raises(ValueError, match=r"rows.csv: unknown extension '.csv'"):
        read_questions(tmp_path / "rows.csv")


def test_windows_overlap_and_one_that_lacks_the_answer_says_so(make):
    task = make([ANSWERED])
    # [CLS] who ? [SEP] a b [UNK] c ##s d e f g h [SEP]: five tokens of text at a time.
    trained = in_windows(task, "train", 10)
    assert trained.num_examples("train") == 3
    pairs = list(trained.pairs("train", range(3)))
    first = [WORDS[number] for number in pairs[0].inputs]
    assert first == "[CLS] who ? [SEP] a b [UNK] c ##s [SEP]".split()
    second = [WORDS[number] for number in pairs[1].inputs]
    assert second == "[CLS] who ? [SEP] c ##s d e f [SEP]".split()
    # Of "Cs d" the first window has only a part: [CLS] stands for no answer.
    assert [pair.places.tolist() for pair in pairs] == [
        [0, 0, 0, 4, 8],
        [4, 6, 0, 4, 8],
        [0, 0, 0, 4, 7],
    ]
    layout = layout_of(trained, Lengths(10, 5), np.array([30, 31]))
    batch = layout.padded(pairs[1:2])
    assert batch.target_places.tolist() == [[6, 8, 2, 6, 10]]
    assert batch.weights.tolist() == [[1, 1, 0, 0, 0]]
    assert batch.input_types[0].tolist() == [0] * 6 + [1] * 6
    assert trained.source.place("train", 2).endswith("rows.jsonl:1")


def test_windows_are_those_of_the_tokenizers_library(make):
    tokenizers = pytest.importorskip("tokenizers")
    task = make([ANSWERED], stride=3, question_length=8)
    backend = task.vocabulary.pieces.tokenizer_json()
    own = tokenizers.Tokenizer.from_str(backend)
    draw = random.Random(0)
    for _ in range(40):
        text = " ".join(draw.choices([*"abcdefgh", "as"], k=draw.randint(1, 30)))
        question = " ".join(draw.choices(["who", "?"], k=draw.randint(1, 8)))
        length = draw.randint(16, 30)
        own.enable_truncation(length, stride=3, strategy="only_second")
        whole = own.encode(question, text)
        expected = [
            [span for span, of in zip(x.offsets, x.sequence_ids, strict=True) if of]
            for x in (whole, *whole.overflowing)
        ]
        asked = {"question": question, "context": text}
        row = task.read_request(Row("here", asked), 0)
        (found,) = task.read_as([row], length)
        passages = task.answers.passages
        tokens = passages.tokens(text)
        spans = list(zip(tokens.starts.tolist(), tokens.stops.tolist(), strict=True))
        assert [spans[slice(*one.passage.window)] for one in found] == expected


def test_a_length_without_room_for_windows_is_refused(make):
    task = make([ANSWERED], stride=4)
    task.check_length(10)
    message = (
        "input length 9 has room for 4 tokens of a text behind a question of 2, but "
        "windows have 4 in common: use a longer input, as --gin.INPUT_LENGTH=13"
    )
    with pytest.raises(ValueError, match=message):
        task.check_length(9)
    # The length that is named has room.
    make([ANSWERED], stride=4).check_length(13)
    apart = make([ANSWERED], stride=0)
    with pytest.raises(ValueError, match="INPUT_LENGTH=6, or"):
        apart.check_length(5)
    apart.check_length(6)
    with pytest.raises(ValueError, match="stride -1, question_length 2: use a stride"):
        make([ANSWERED], stride=-1)


def found_in(*windows: list[tuple[int, int, float]]) -> np.ndarray:
    """What a head finds: of each window no answer first, padded with no spans."""
    found = np.full((len(windows), 4, 3), 10 * NEVER, np.float32)
    for place, spans in enumerate(windows):
        found[place, : len(spans)] = spans
    return found


def test_the_best_span_of_all_windows_is_cut_out_of_the_text(make):
    task = make([ANSWERED], null_threshold=1.0)
    row = task.source.rows("train")[0]
    parts = task.read_as([row], 10)
    layout = layout_of(task, Lengths(10, 5), np.zeros(0, int))
    reading = Reading(task, layout, parts, np.arange(1))
    assert len(reading.batch.inputs) == 3
    found = found_in(
        [(0, 0, 3.0), (0, 1, 2.0)], [(0, 0, 5.0), (0, 2, 2.5)], [(0, 0, 9.0)]
    )
    # Tokens 0 to 2 of the second window, with the case and the spaces of the text. The
    # lowest score of no answer is within the threshold.
    assert reading.answers(found) == ["Cs d"]
    found[0, 0, 2] = found[2, 0, 2] = 4.0
    assert reading.answers(found) == [""]
    (shares,) = reading.likelihoods(found, found)
    assert list(shares) == ["", "Cs d", "A b"]
    assert sum(shares.values()) == pytest.approx(1, abs=1e-5)
    assert shares["Cs d"] / shares["A b"] == pytest.approx(np.exp(0.5), rel=1e-4)
    # In a window of one token too the spaces of the text stay out.
    assert reading.answers(found_in([(0, 0, 9)], [(0, 0, 9), (3, 3, 9)], [(0, 0, 9)]))


@pytest.mark.parametrize(
    "answer",
    [
        "a\u0301",
        "a\u0301 b\u0303\u0301",
        "\u2764\ufe0f",
        "b",
        "a\tb\r\nc",
        "\U0001f600",
    ],
    ids=["accent", "accents", "emoji", "plain", "spaces", "wide"],
)
@pytest.mark.parametrize("behind", ["", " d", ", d"])
def test_an_answer_keeps_the_accents_that_the_vocabulary_drops(make, answer, behind):
    passages = make([]).answers.passages
    text = f"e\u0301 {answer}{behind}"
    passage = Passage("who ?", text, (3, 3 + len(answer)))
    assert passages.cut(passage, *passages.place_of_answer(passage)) == answer


def test_a_request_needs_a_question_and_a_text(make):
    task = make([ANSWERED])
    with pytest.raises(ValueError, match="here:1: no field 'context'"):
        task.read_request(Row("here:1", {"question": "who?"}), 0)


def test_questions_without_an_answer_count_apart():
    found = squad_2([["the cat", "dog"], [""], [""]], ["Dog and cat", "", "no"])
    assert found == pytest.approx(
        {
            "em": 100 / 3,
            "f1": 100 / 3 * 1.5,
            "has_answer_em": 0.0,
            "has_answer_f1": 50.0,
            "no_answer_em": 50.0,
        }
    )


@pytest.mark.parametrize("causal", [False, True], ids=["T5", "decoder"])
def test_models_without_a_separator_read_the_words_of_t5(causal):
    """The token that stands for no answer is the last one of the row."""
    place = REAL / "vocab/gpt2" if causal else resolve("bundled:nano")
    if not Path(place).is_dir():
        pytest.skip("needs the real data of ../shared")
    vocabulary = load_vocabulary(place, causal=causal)
    task = question_task("own", files={}, vocabulary=vocabulary, stride=2)
    passage = Passage("who sat?", "Then two cats sat  here.", (5, 13), (1, 6))
    (pair,) = task.encode([Example("", "", passage=passage)])
    start, end, nowhere, first, last = pair.places.tolist()
    assert nowhere == len(pair.inputs) - 1
    assert pair.inputs[-1] == vocabulary.eos_id
    assert vocabulary.decode(pair.inputs[:first]) == "question: who sat? context:"
    assert last - first == 4
    found = task.answers.passages.cut(passage, start - first, end - first)
    assert found == "two cats"


def test_texts_are_kept_up_to_a_number_of_tokens_the_last_ones(make, monkeypatch):
    monkeypatch.setattr(passages_room, "MOST_KEPT", 20)
    passages = make([]).answers.passages
    first = passages.tokens("a b c d e")
    assert passages.tokens("a b c d e") is first
    texts = [f"{one} b c d e" for one in "bcdefgh"]
    kept = [passages.tokens(text) for text in texts]
    assert passages.tokens("a b c d e") is not first
    assert passages.tokens(texts[-1]) is kept[-1]
    again = passages.tokens("a b c d e")
    np.testing.assert_array_equal(again.starts, first.starts)


@pytest.mark.skipif(not REAL.is_dir(), reason="needs the real data of ../shared")
def test_real_answers_come_back_from_their_tokens():
    questions = read_questions(REAL / "squad/dev-v1.1.json")
    assert len(questions) == 10_570
    vocabulary = load_vocabulary(REAL / "vocab/bert-uncased", encoder_only=True)
    task = question_task("squad", files={}, vocabulary=vocabulary)
    passages, lost = task.answers.passages, []
    for one in questions[::10]:
        stands = one.start, one.start + len(one.answers[0])
        passage = Passage(one.question, one.context, stands)
        place = passages.place_of_answer(passage)
        text = passages.cut(passage, *place)
        if squad([one.answers], [text])["em"] < 100:
            lost.append((one.answers[0], text))
    # Answers that are a part of a token.
    assert len(lost) < 10, lost


def test_an_answer_is_right_by_squads_own_rules(make):
    task = make([ANSWERED], question_length=4)
    rows = EvaluationSet(Sample(task, "train", Lengths(12, 2), np.zeros(0, np.int32)))
    for said, is_right in {"the CS d.": True, "Cs": False}.items():
        assert rows.right([said]) == [is_right]
        assert (squad([["Cs d"]], [said])["em"] == 100) == is_right


def test_questions_that_are_cut_are_told_before_training(make):
    long = {**ANSWERED, "id": "2", "question": "who ? a b c d e"}
    (note,) = make([ANSWERED, long], question_length=3).source.notes("train")
    assert note == (
        "cut to length, of 2 questions looked at: 50.0% (3 tokens, their "
        "question_length)"
    )
    assert make([ANSWERED, long], question_length=7).source.notes("train") == []
