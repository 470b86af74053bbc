"""Few-shot prompts: training examples in front of the input, as a baseline."""

import dataclasses
import json

import pytest
from byte_vocabulary import byte_vocabulary
from tiny import CONFIG, LENGTH, draw_prompt, make_tiny
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from jaxprompt.config import Data, Evaluation, OwnTask, Run
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.tasks.shots import asked_by_hand, training_examples
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.runs.measure.score_report import ScoreReport
from jaxprompt.runs.ready.frozen import Frozen
from jaxprompt.runs.ready.job import Job
from jaxprompt.sharding import make_mesh

LABELS = {"0": "no", "1": "yes"}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    found = {}
    for split, first in (("train", 0), ("validation", 100)):
        path = tmp_path_factory.mktemp("own") / f"{split}.jsonl"
        rows = [{"text": f"row {first + n}", "label": n % 2} for n in range(8)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        found[split] = str(path)
    return found


def make_job(files, **evaluation):
    model = make_tiny(dataclasses.replace(CONFIG, vocab_rows=264))
    task = OwnTask(
        name="own", files=files, inputs="{text}", target="label", labels=LABELS
    )
    run = Run(
        data=Data(task=task, input_length=24, target_length=4),
        evaluation=Evaluation(batch_size=8, **evaluation),
    )
    loaded = task.load(byte_vocabulary())
    frozen = Frozen(make_mesh(8, 1), model.backbone, model.model, loaded.vocabulary)
    return Job(frozen, run, (loaded,))


def test_examples_are_training_rows_with_their_answers(files):
    task = make_job(files).task
    found = training_examples(task, "train", 5, seed=1)
    rows = {f"row {n} {LABELS[str(n % 2)]}" for n in range(8)}
    assert len(set(found)) == 5
    assert set(found) <= rows
    assert found == training_examples(task, "train", 5, seed=1)
    assert found != training_examples(task, "train", 5, seed=2)
    with pytest.raises(ValueError, match=r"9 shots, but split 'train' .* 8 rows"):
        training_examples(task, "train", 9, seed=0)


@pytest.mark.parametrize(
    ("inputs", "labels", "shown"),
    [
        ("Q: {text}\nA:", {"0": " no", "1": " yes"}, "Q: row {n}\nA: {label}"),
        ("Q: {text}\nA:", {"0": "no", "1": "yes"}, "Q: row {n}\nA: {label}"),
        ("Q: {text}\n", {"0": "no", "1": "yes"}, "Q: row {n}\n{label}"),
        ("{text} is {mask:1} .", {"0": "no", "1": "yes"}, "row {n} is {label}"),
    ],
)
def test_a_decoder_reads_examples_and_the_question_a_line_apart(
    files, inputs, labels, shown
):
    vocabulary = byte_vocabulary(causal=True)
    task = file_task(
        "own",
        files=files,
        inputs=inputs,
        target="label",
        labels=labels,
        vocabulary=vocabulary,
    )
    asked = asked_by_hand(task, "Answer.", split="train", shots=2, seed=1)
    assert asked is not None
    (question,) = asked.examples("validation", [0])
    (pair,) = asked.pairs("validation", [0])
    read = vocabulary.decode(pair.inputs)
    assert read == asked.before + question.inputs
    first, *shots, last = read.split("\n\n")
    assert (first, last) == ("Answer.", question.inputs)
    every = {shown.format(n=n, label=LABELS[str(n % 2)]) for n in range(8)}
    assert len(every & {*shots}) == 2
    typed = asked_by_hand(task, "Answer: ", split="train", shots=0, seed=1)
    assert typed is not None
    assert typed.before == "Answer: "


def test_a_decoder_reads_examples_as_if_all_were_one_text(files, tmp_path):
    # Two line ends are one token at the end of a text, and two in front of a word.
    letters = pre_tokenizers.ByteLevel.alphabet()
    vocabulary = {x: n for n, x in enumerate(["<end>", *sorted(letters), "ĊĊ"])}
    tokenizer = Tokenizer(models.BPE(vocabulary, [("Ċ", "Ċ")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<end>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = {"eos_token": "<end>", "tokenizer_class": "PreTrainedTokenizerFast"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    pieces = load_vocabulary(tmp_path, causal=True)
    assert len(pieces.encode("a\n\n")) == 2 < len(pieces.encode("a\n\nb")) - 1
    task = file_task(
        "own", files=files, inputs="{text}", target="label", vocabulary=pieces
    )
    asked = asked_by_hand(task, "Answer.", split="train", shots=2, seed=1)
    assert asked is not None
    (question,) = asked.examples("validation", [0])
    (pair,) = asked.pairs("validation", [0])
    assert pair.inputs.tolist() == pieces.encode(asked.before + question.inputs)


def test_they_are_scored_as_the_same_words_typed_by_hand(files):
    text = "\n\n".join(["so:", *training_examples(make_job(files).task, "train", 2, 0)])
    typed, shot = (
        ScoreReport(job, "validation", LENGTH)
        .compare(job.frozen.join(draw_prompt(0)))
        .hand_written
        for job in (
            make_job(files, hand_written=text),
            make_job(files, hand_written="so:", examples_in_input=2),
        )
    )
    assert typed is not None
    assert shot is not None
    assert shot.predictions == typed.predictions


def test_a_negative_number_is_refused():
    with pytest.raises(ValueError, match="examples_in_input -1"):
        Evaluation(examples_in_input=-1)
