"""Self-supervised tasks: questions that text answers, the same in every process."""

import json
import re
import subprocess
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from byte_vocabulary import byte_vocabulary

from jaxprompt.bundled import resolve
from jaxprompt.config import SelfSupervisedTask
from jaxprompt.data.pretraining.forms import MIXES
from jaxprompt.data.pretraining.option_names import option_names
from jaxprompt.data.rows.batches import train_batches
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, load_vocabulary
from jaxprompt.prompts.soft_ids import prefix

DOCUMENTS, SENTENCES = 24, 9
NUMBERS = "Zero One Two Three Four Five Six Seven Eight Nine".split()


def sentence(document: int, number: int) -> str:
    return f"{NUMBERS[number]} {document} is what this line says."


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    """A vocabulary in which every letter is one token."""
    return byte_vocabulary()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents, half in a .txt file and half in rows; one is there twice."""
    made = tmp_path_factory.mktemp("text")
    lines = [
        " ".join(sentence(d, n) for n in range(SENTENCES)) for d in range(DOCUMENTS)
    ]
    half = DOCUMENTS // 2
    texts = ["A title", "", *lines[:half], lines[0]]
    (made / "a.txt").write_text("\n".join(texts) + "\n")
    rows = [json.dumps({"body": text, "id": n}) for n, text in enumerate(lines[half:])]
    (made / "b.jsonl").write_text("\n".join(rows) + "\n")
    return made


def make(folder: Path, vocabulary: Vocabulary, **settings: Any) -> Task:
    defaults: dict[str, Any] = {
        "name": "asked",
        "inputs": "{first} | {second}",
        "row_text": "{body}",
        "validation_share": 0.3,
    }
    given = {**defaults, **settings}
    return SelfSupervisedTask(folder=str(folder), **given).load(vocabulary)


def place_of(text: str) -> tuple[int, int]:
    number, document, *_ = text.split()
    return int(document), NUMBERS.index(number)


SPLITS = ("train", "validation")


def test_the_second_sentence_is_what_the_answer_says(folder, vocabulary):
    task = make(folder, vocabulary)
    counts = Counter()
    for split in SPLITS:
        for inputs, word, *_ in task.examples(split):
            (d1, n1), (d2, n2) = map(place_of, inputs.split(" | "))
            expected = "no"
            if d1 == d2:
                expected = "yes" if abs(n1 - n2) == 1 else "maybe"
                assert n1 != n2
            assert word == expected
            counts[word] += 1
    assert sum(counts.values()) == DOCUMENTS * SENTENCES
    assert all(abs(count - 72) < 25 for count in counts.values())


def test_thresholds_share_out_the_answers(folder, vocabulary):
    task = make(folder, vocabulary, other_below=0.5, same_below=0.5)
    assert {x.targets for x in task.examples("train")} == {"no", "yes"}
    assert task.labels == ("no", "yes")  # No question has "maybe", so it is no answer.
    with pytest.raises(ValueError, match=r"other_below 0.5, same_below 0.2: use"):
        make(folder, vocabulary, other_below=0.5, same_below=0.2)


def test_no_document_is_in_both_splits_and_none_meets_itself(folder, vocabulary):
    task = make(folder, vocabulary, other_below=1.0, same_below=1.0)
    of_split = {}
    for split in SPLITS:
        pairs = [x.inputs.split(" | ") for x in task.examples(split)]
        documents = [tuple(place_of(text)[0] for text in pair) for pair in pairs]
        assert all(first != second for first, second in documents)
        of_split[split] = {number for pair in documents for number in pair}
    assert not of_split["train"] & of_split["validation"]


def test_a_question_is_the_same_in_any_order_and_process(folder, vocabulary):
    task, again = make(folder, vocabulary), make(folder, vocabulary)
    numbers = [40, 3, 17]
    found = task.examples("train", numbers)
    assert found == [again.examples("train")[number] for number in numbers]
    assert found != make(folder, vocabulary, seed=1).examples("train", numbers)
    script = (
        "import sys\nfrom pathlib import Path\n"
        "from jaxprompt.data.pretraining import self_supervised as s, forms\n"
        "from jaxprompt.data.read.documents import Documents\n"
        "documents = Documents(sys.argv[1], row_text='{body}')\n"
        "source = s.SelfSupervisedSource('asked', Path(sys.argv[1]), "
        "lambda: documents, forms.NextSentence(), s.Units(validation_share=0.3), 0, "
        "lambda row, number: dict(row.fields))\n"
        "print(source.rows('train')[40]['second'])\n"
    )
    command = [sys.executable, "-c", script, str(folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == found[0].inputs.split(" | ")[1]


@pytest.mark.parametrize("form", ["sentence_choice", "multiple_choice"])
def test_one_option_is_beside_the_query_and_all_differ(folder, vocabulary, form):
    task = make(folder, vocabulary, form=form, inputs="{query} | {options}")
    sizes = Counter()
    for inputs, name, *_ in task.examples("train"):
        query, listed = inputs.split(" | ")
        options = _options(listed)
        (d, n), places = place_of(query), {k: place_of(v) for k, v in options.items()}
        assert len(set(options.values())) == len(options)
        beside = [k for k, (e, m) in places.items() if e == d and abs(n - m) == 1]
        assert beside == [name]
        same = sum(e == d for e, _ in places.values()) - 1
        size = len(options)
        assert same == MIXES[size].same
        sizes[size] += 1
    assert set(sizes) == ({6} if form == "sentence_choice" else set(range(2, 17)))


def _options(listed: str) -> dict[str, str]:
    """Splits "A. one. B. two." into its options."""
    found, name = {}, ""
    for word in listed.split():
        if len(word) == 2 and word[0].isupper() and word[1] == ".":
            name = word[0]
            found[name] = []
        else:
            found[name].append(word)
    return {name: " ".join(words) for name, words in found.items()}


def test_options_are_cut_to_the_words_of_a_question(folder, vocabulary):
    task = make(
        folder,
        vocabulary,
        form="sentence_choice",
        inputs="{query} | {options}",
        question_words=42,
        validation_share=0.5,
    )
    for example in task.examples("train"):
        _, listed = example.inputs.split(" | ")
        options = _options(listed)
        assert len(set(options.values())) == 6
        assert {len(text.split()) for text in options.values()} <= {3, 4}


def test_long_documents_may_be_asked_about_no_more_than_others(folder, vocabulary):
    task = make(folder, vocabulary, per_document=2)
    firsts = [
        place_of(x.inputs.split(" | ")[0])
        for split in SPLITS
        for x in task.examples(split)
    ]
    assert Counter(d for d, _ in firsts) == dict.fromkeys(range(DOCUMENTS), 2)
    assert len({n for _, n in firsts}) > 4  # Not the first two of each.


def test_options_are_letters_where_these_are_one_token(vocabulary):
    assert option_names(vocabulary, 3) == (("A", "B", "C"), [])


class _Digits:
    """A vocabulary that writes digits alone in one token."""

    def encode(self, text: str) -> list[int]:
        return [1] if text.strip().isdigit() and len(text.strip()) == 1 else [1, 2]


def test_options_are_numbers_where_letters_are_several_tokens():
    digits: Any = _Digits()
    names, told = option_names(digits, 6)
    assert names == ("1", "2", "3", "4", "5", "6")
    assert told == [
        "options are called by numbers, as A, B, C, D, E, F are not one token each"
    ]
    with pytest.raises(ValueError, match=r"12 options: neither A, .* nor 10, 11, 12"):
        option_names(digits, 12)


def test_it_says_what_was_built(folder, vocabulary):
    task = make(folder, vocabulary)
    counted, looked_at = task.source.notes("train")
    assert counted.startswith("25 documents, without 1 that repeat another; train: ")
    assert f"{task.num_examples('train')} questions" in counted
    assert "answers other " in looked_at
    assert "14 words, 14 at most" in looked_at
    assert task.source.place("train", 0) == "a.txt:3, sentence 1"


def test_it_trains_like_any_other_task(folder, vocabulary):
    task = make(folder, vocabulary)
    batch, _ = next(
        train_batches(
            task, "train", Lengths(24, 4), prefix(32_128, 3), batch_size=4, seed=0
        )
    )
    assert batch.inputs.shape == (4, 27)
    assert (batch.targets > 0).any(axis=1).all()


def test_a_text_that_is_there_twice_is_one_document_however_it_is_written(
    tmp_path: Path, vocabulary
):
    texts = [" ".join(sentence(d, n) for n in range(SENTENCES)) for d in range(12)]
    rows = [json.dumps({"body": text, "id": n}) for n, text in enumerate(texts * 2)]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows) + "\n")
    (tmp_path / "lines.txt").write_text("\n".join(texts))
    (tmp_path / "windows.txt").write_bytes("\r\n".join([*texts, ""]).encode())
    task = make(tmp_path, vocabulary)
    found = {
        split: {place_of(x.inputs.split(" | ")[0]) for x in task.examples(split)}
        for split in SPLITS
    }
    assert not found["train"] & found["validation"]
    assert sum(map(len, found.values())) == 12 * SENTENCES
    assert (
        "12 documents, without 36 that repeat another" in task.source.notes("train")[0]
    )


@pytest.mark.parametrize("form", ["next_sentence", "sentence_choice"])
def test_what_cannot_be_asked_about_stops_no_run(tmp_path: Path, vocabulary, form):
    # Beside sentence 4 stand two that say the same; of dialogue nothing is usable.
    lines = [
        [sentence(d, 4 if n in (3, 5) else n) for n in range(SENTENCES)]
        for d in range(12)
    ]
    lines += [[f"So {n} {d}." for n in range(9)] for d in range(6)]
    (tmp_path / "a.txt").write_text("\n".join(map(" ".join, lines)))
    task = make(
        tmp_path,
        vocabulary,
        form=form,
        inputs="{first} | {second}"
        if form == "next_sentence"
        else "{query} | {options}",
        least_words=4,
        validation_share=0.5,
    )
    for split in SPLITS:
        asked = task.examples(split)
        assert len(asked) > 3 * SENTENCES
        assert not any("So" in x.inputs for x in asked)


def test_no_option_is_the_beginning_of_the_query(tmp_path: Path, vocabulary):
    # Most sentences of a document have the same beginning, to which options are cut.
    words = "a b c d e f g h".split()
    lines = [
        " ".join(
            f"Line {d} {' '.join(words)} goes on {n}." if n % 3 else f"{sentence(d, n)}"
            for n in range(9)
        )
        for d in range(12)
    ]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    task = make(
        tmp_path,
        vocabulary,
        form="sentence_choice",
        inputs="{query} | {options}",
        question_words=42,
        validation_share=0.5,
    )
    for split in SPLITS:
        for example in task.examples(split):
            query, options = example.inputs.split(" | ")
            found = re.split(r"(?:^| )[A-F]\. ", options)[1:]
            assert len(found) == 6
            assert not any(query.startswith(option) for option in found)


def test_two_labels_may_have_one_word(folder, vocabulary, tmp_path: Path):
    labels = {"other": "no", "same": "no", "next": "yes"}
    task = make(folder, vocabulary, labels=labels)
    assert task.labels == ("no", "yes")
    assert {x.targets for x in task.examples("train")} == {"no", "yes"}
    stars = [(f"text {n}", str(n % 5 + 1), 0.9) for n in range(60)]
    task = make(
        labelled(tmp_path, stars),
        vocabulary,
        form="pseudo_labels",
        inputs="{text}",
        labels={"1": "bad", "2": "bad", "3": "maybe", "4": "good", "5": "good"},
    )
    assert task.labels == ("bad", "maybe", "good")
    found = dict(x[:2] for split in SPLITS for x in task.examples(split))
    assert [found[f"text {n}"] for n in range(5)] == [
        *["bad"] * 2,
        "maybe",
        *["good"] * 2,
    ]


def test_text_does_not_stay_in_memory(tmp_path: Path, vocabulary):
    with (tmp_path / "long.txt").open("w") as file:
        for d in range(2000):
            text = " ".join(f"{sentence(d, n)[:-1]} {'x' * 400}." for n in range(9))
            file.write(f"{text}\n")
    size = (tmp_path / "long.txt").stat().st_size
    tracemalloc.start()
    task = make(tmp_path, vocabulary)
    rows = task.source.rows("train")
    for number in range(0, len(rows), 97):
        assert rows[number]["targets"] in ("no", "maybe", "yes")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < size / 3


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"inputs": "{query} {second}"}, "names query, but a question has first, sec"),
        ({"labels": {"next": "yes"}}, "give each of other, same, next its word"),
        ({"form": "cloze"}, "form 'cloze': use one of"),
        ({"least_words": 40}, "0 sentences that can be asked about: a question needs"),
        ({"form": "multiple_choice", "options": (1,)}, "numbers from 2 to 16"),
        ({"form": "multiple_choice", "options": (2.5,)}, r"\[2.5\]: use whole numbers"),
    ],
)
def test_mistakes_are_told(folder, vocabulary, settings, error):
    with pytest.raises(ValueError, match=error):
        make(folder, vocabulary, **settings).num_examples("train")


def test_a_folder_without_text_is_told(tmp_path: Path, vocabulary):
    task = make(tmp_path / "nowhere", vocabulary)
    with pytest.raises(FileNotFoundError, match=r"no \.txt or \.jsonl file .*nowhere"):
        task.check_split("train")


def labelled(folder: Path, rows: list[tuple[str, str, float]]) -> Path:
    lines = [
        {"text": text, "prediction": label, "probabilities": {label: share}}
        for text, label, share in rows
    ]
    path = folder / "labelled.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_texts_are_kept_of_which_the_classifier_was_sure(tmp_path: Path, vocabulary):
    rows = [(f"text {n}", "up" if n % 2 else "down", n / 100) for n in range(100)]
    path = labelled(tmp_path, [*rows, rows[-1]])
    task = make(
        path,
        vocabulary,
        form="pseudo_labels",
        inputs="{text}",
        labels={"down": "bad", "up": "good"},
        thresholds={"down": 0.5},
    )
    found = [x[:2] for split in SPLITS for x in task.examples(split)]
    expected = [
        (text, "good" if label == "up" else "bad")
        for text, label, share in rows
        if label == "up" or share > 0.5
    ]
    assert sorted(found) == sorted(expected)
    assert len(task.examples("validation")) > 10
    (note,) = task.source.notes("train")
    assert "down 24 of 50, up 50 of 51; without 1 that repeat another" in note


def test_rows_without_probabilities_are_told(tmp_path: Path, vocabulary):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a", "prediction": "up"}\n')
    task = make(
        path, vocabulary, form="pseudo_labels", inputs="{text}", labels={"up": "good"}
    )
    with pytest.raises(ValueError, match=r"rows.jsonl:1: .* predict --scores"):
        task.num_examples("train")


def test_behind_a_decoders_text_an_answer_has_the_space_before_the_mask(folder):
    path = Path(resolve("bundled:nano")) / "spiece.model"
    decoder = load_vocabulary(path, causal=True)
    task = make(folder, decoder, inputs="{first} {second} Next ? {mask:1}")
    example = task.examples("train", [0])[0]
    assert example.inputs.endswith("Next ?")
    assert example.targets in (" no", " maybe", " yes")
