"""Beginning-of-sequence: where a decoder's tokenizer puts it, its texts begin so."""

import json
from pathlib import Path

import numpy as np
import pytest
import transformers
from chat_tasks import SPECIAL, TRIMMED, write_settings
from gguf_files import add_byte_pairs, byte_pairs, finish, start_file

from jaxprompt.config import Data, HeadStart, OwnChats, OwnTask, Run
from jaxprompt.config.answering import answering_gin, answering_run, describe
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.requests import request_pairs
from jaxprompt.data.tasks.answers.spans import FIRST, LAST
from jaxprompt.data.tasks.questions import question_task
from jaxprompt.data.tasks.shots import asked_by_hand
from jaxprompt.data.tasks.tagging.tags import tag_task
from jaxprompt.data.vocabulary.vocabulary import Vocabulary, load_vocabulary

TEXT = "good bad system"
SOFT = np.arange(900, 903, dtype=np.int32)


def make_folder(folder: Path, *, adds: bool = True) -> Path:
    """Writes a tokenizer, which puts <bos> in front of a text if it is to."""
    tokenizer = byte_pairs(320, SPECIAL, first="<bos>" if adds else "")
    tokenizer.save(str(folder / "tokenizer.json"))
    write_settings(folder, TRIMMED)
    return folder


@pytest.fixture(scope="module")
def begins(tmp_path_factory: pytest.TempPathFactory) -> Vocabulary:
    return load_vocabulary(make_folder(tmp_path_factory.mktemp("begins")), causal=True)


def read(
    vocabulary: Vocabulary, inputs: str, *, add_bos: bool = True, length: int = 20
) -> list[int]:
    """Returns the ids that a model reads of a row, behind three soft tokens."""
    task = OwnTask(name="own", inputs=inputs, target="label")
    run = Run(data=Data(task=task, add_bos=add_bos))
    made = run.load(task, vocabulary)
    (pair,) = request_pairs(made, [Row("here:1", {"text": TEXT})])
    layout = layout_of(made, Lengths(length, 2), SOFT)
    return layout.prompted(pair).inputs.tolist()


@pytest.mark.parametrize("adds", [True, False])
def test_a_text_begins_as_transformers_begins_it(adds: bool, tmp_path: Path):
    vocabulary = load_vocabulary(make_folder(tmp_path, adds=adds), causal=True)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert read(vocabulary, "{text}") == [*SOFT, *theirs(TEXT).input_ids]
    bare = theirs(TEXT, add_special_tokens=False).input_ids
    assert read(vocabulary, "{text}", add_bos=False) == [*SOFT, *bare]


@pytest.mark.parametrize(
    ("pre", "said", "adds"),
    [("gpt-2", True, True), ("gpt-2", None, False), ("llama-bpe", None, True)],
)
def test_a_gguf_file_says_it_or_its_pre_tokenizer_does(
    pre: str, said: bool | None, adds: bool, tmp_path: Path
):
    file = tmp_path / "model.gguf"
    writer = start_file(file)
    add_byte_pairs(writer, byte_pairs(320, SPECIAL), pre)
    writer.add_bos_token_id(SPECIAL.index("<bos>"))
    writer.add_eos_token_id(0)
    if said is not None:
        writer.add_add_bos_token(said)
    finish(writer)
    vocabulary = load_vocabulary(file, causal=True)
    assert vocabulary.first == ((SPECIAL.index("<bos>"),) if adds else ())


def test_a_template_says_where_it_stands(begins: Vocabulary):
    (bos,), ids = begins.first, begins.encode(TEXT)
    assert read(begins, "{bos:1}{slots:3}{text}") == [bos, *SOFT, *ids]
    behind = [*SOFT, bos, *ids]
    for inputs in ("{slots:3}{bos:1}{text}", "{bos:1}{text}", "<bos>{text}", "{text}"):
        assert read(begins, inputs) == behind
    for add_bos in (True, False):  # It counts where the template names none.
        found = read(begins, "{bos:1}{slots:3}{text}", add_bos=add_bos)
        assert found == [bos, *SOFT, *ids]


def test_it_is_no_part_of_what_is_cut(begins: Vocabulary):
    (bos,), ids = begins.first, begins.encode(TEXT)
    assert read(begins, "{text}", length=3) == [*SOFT, bos, ids[0], ids[-1]]
    words = begins.encode(" so")
    cut = [*SOFT, bos, *ids[: 6 - len(words)], *words]
    assert read(begins, "{text} so {mask:1}", length=7) == cut


def test_a_vocabulary_without_it_refuses_its_mark(tmp_path: Path):
    vocabulary = load_vocabulary(make_folder(tmp_path, adds=False), causal=True)
    with pytest.raises(ValueError, match=r"no beginning-of-sequence .* leave \{bos"):
        read(vocabulary, "{bos:1}{text}")


def test_one_without_a_row_in_the_table_is_refused(begins: Vocabulary):
    """Its id would be that of a soft token."""
    small = Vocabulary(begins.pieces, causal=True, rows=begins.first[0])
    with pytest.raises(
        ValueError, match=r"id 3 in front .* table has 3 rows: leave it"
    ):
        _ = small.first
    assert small.without_bos().first == ()


def test_a_conversation_begins_as_the_chat_template_writes_it(begins: Vocabulary):
    messages = [{"role": "user", "content": TEXT}]
    theirs = transformers.AutoTokenizer.from_pretrained(begins.place.parent)
    asked = theirs.apply_chat_template(messages, add_generation_prompt=True)
    expected = [*SOFT, *asked["input_ids"]]
    run = Run()
    for task, row in (
        (OwnChats(name="chats"), {"messages": messages}),
        (OwnTask(name="own", roles={"user": "{text}"}, target="label"), {"text": TEXT}),
    ):
        made = run.load(task, begins)
        (pair,) = request_pairs(made, [Row("here:1", row)])
        layout = layout_of(made, Lengths(60, 2), SOFT)
        assert layout.prompted(pair).inputs.tolist() == expected


def test_examples_that_are_shown_stand_behind_it(begins: Vocabulary, tmp_path: Path):
    rows = "".join(json.dumps({"text": t, "label": "good"}) + "\n" for t in "abcd")
    (tmp_path / "rows.jsonl").write_text(rows)
    files = {"train": str(tmp_path / "rows.jsonl")}
    task = OwnTask(name="own", files=files, inputs="{text}", target="label")
    made = asked_by_hand(Run().load(task, begins), "", split="train", shots=2, seed=0)
    assert made is not None
    (pair,) = made.pairs("train", [0])
    ids = pair.inputs.tolist()
    assert ids[0] == begins.first[0]
    assert ids.count(begins.first[0]) == 1


def test_words_and_passages_are_found_behind_it(begins: Vocabulary):
    tagged = tag_task("tags", files={}, kinds=("X",), vocabulary=begins)
    row = Row("here:1", {"words": ["good", "bad"]})
    (pair,) = request_pairs(tagged, [row])
    for place, word in zip(pair.places, ("good", "bad"), strict=True):
        assert begins.decode([pair.inputs[place]]).strip() == word
    asked = question_task("squad", files={}, vocabulary=begins)
    (pair,) = request_pairs(
        asked, [Row("here:1", {"question": "good?", "context": "bad system"})]
    )
    first, last = pair.places[FIRST], pair.places[LAST]
    assert begins.decode(pair.inputs[first : last + 1]).strip() == "bad system"


def test_a_prompt_says_whether_it_was_trained_behind_it():
    task = OwnTask(name="own", inputs="{text}", target="label")
    for add_bos in (True, False):
        said = describe(Run(data=Data(task=task, add_bos=add_bos), head=HeadStart()))
        assert answering_run(said, "a prompt").data.add_bos == add_bos
        assert f"Data.add_bos = {add_bos}\n" in answering_gin(said, "a prompt")
    # Prompts of versions that put none there do not say it.
    del said["data"]["add_bos"]
    assert not answering_run(said, "a prompt").data.add_bos
    assert "Data.add_bos = False\n" in answering_gin(said, "a prompt")
