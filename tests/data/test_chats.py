"""Files of conversations: what is asked, learned, cut and refused."""

import json
from pathlib import Path

import pytest
from chat_tasks import (
    CHATML,
    MESSAGES,
    SOFT,
    SPECIAL,
    THINKING,
    TRIMMED,
    MakeChats,
    make_chats,
)
from gguf_files import byte_pairs

from jaxprompt.config import OwnChats
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.layout import layout_of
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.requests import request_pairs
from jaxprompt.data.vocabulary.chat import Turn, read_chat_template
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.serve.texts import AsItIs

make = pytest.fixture(make_chats)


@pytest.mark.parametrize("template", [CHATML, TRIMMED, THINKING])
def test_each_answer_is_learned_behind_what_transformers_asks(
    make: MakeChats, tmp_path: Path, template: str
):
    transformers = pytest.importorskip("transformers")
    task = make({"messages": MESSAGES}, template=template)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    end = "<end_of_turn>" if template == TRIMMED else "<|im_end|>"
    pairs = list(task.pairs("train", range(task.num_examples("train"))))
    assert len(pairs) == 2
    for pair, place in zip(pairs, (2, 4), strict=True):
        asked = theirs.apply_chat_template(
            MESSAGES[:place], tokenize=False, add_generation_prompt=True
        )
        expected = theirs.encode(asked, add_special_tokens=False)
        assert pair.inputs.tolist() == expected
        said = MESSAGES[place]["content"]
        said = said.strip() if template == TRIMMED else said
        said = f"[no thoughts]{said}" if template == THINKING else said
        behind = theirs.encode(said + end, add_special_tokens=False)
        assert pair.targets.tolist() == behind
    assert task.source.place("train", 1).endswith("chats.jsonl:1: messages[4]")


@pytest.mark.parametrize("template", [CHATML, TRIMMED, THINKING])
def test_an_answer_may_be_a_word_of_the_template(make: MakeChats, template: str):
    words = ("end", "no", "turn", "<", "im_end", "?", "assistant")
    rows = [
        {"messages": [MESSAGES[1], {"role": "assistant", "content": word}]}
        for word in words
    ]
    task = make(*rows, template=template)
    said = [example.targets for example in task.examples("train")]
    before = "[no thoughts]" if template == THINKING else ""
    assert said == [before + word for word in words]


def test_the_oldest_turns_are_shortened_first_and_no_mark_of_a_turn(make: MakeChats):
    task = make({"messages": MESSAGES})
    (pair,) = task.pairs("train", [1])
    name = task.vocabulary.pieces.name
    sizes = [len(task.vocabulary.encode(turn["content"])) for turn in MESSAGES]

    def kept(cut: int) -> list[str]:
        layout = layout_of(task, Lengths(len(pair.inputs) - cut, 20), SOFT)
        row = layout.prompted(pair).inputs
        assert row[:2].tolist() == SOFT.tolist()
        text = "".join(map(name, row[2:].tolist())).replace("Ġ", " ")
        turns = text.replace("Ċ", "\n").split("<|im_start|>")[1:]
        assert [turn.partition("\n")[0] for turn in turns] == [
            *("system", "user", "assistant", "user", "assistant")
        ]
        return [turn.partition("\n")[2] for turn in turns]

    whole = [f"{turn['content']}<|im_end|>\n" for turn in MESSAGES[:4]]
    assert kept(0) == [*whole, ""]
    first = kept(3)
    assert first[0] == whole[0]
    assert first[2:] == [*whole[2:], ""]
    assert whole[1].startswith(first[1].removesuffix("<|im_end|>\n"))
    assert first[1] != whole[1]
    # Then the others that are not the system's, which is the last.
    gone = "<|im_end|>\n"
    assert kept(sizes[1] + sizes[2]) == [whole[0], gone, gone, whole[3], ""]
    assert kept(sum(sizes[1:4])) == [whole[0], gone, gone, gone, ""]


def test_files_of_all_layouts_are_read_alike(make: MakeChats):
    names = {"system": "system", "user": "human", "assistant": "gpt"}
    other = [{"from": names[m["role"]], "value": m["content"]} for m in MESSAGES]
    parts = [
        {**m, "content": [{"type": "text", "text": x} for x in m["content"]]}
        for m in MESSAGES
    ]
    plain = make({"messages": MESSAGES}).examples("train")
    assert make({"chat": other}, messages="chat").examples("train") == plain
    assert make({"messages": parts, "id": 3}).examples("train") == plain
    unlearned = [{**m, "weight": int(n != 2)} for n, m in enumerate(MESSAGES)]
    assert make({"messages": unlearned}).examples("train") == plain[1:]


def test_one_file_is_divided_by_conversations(make: MakeChats, tmp_path: Path):
    rows = [
        {"messages": [{**m, "content": f"{n} {m['content']}"} for m in MESSAGES]}
        for n in range(20)
    ]
    whole = make(*rows)
    share = {"train": 0.5, "validation": 0.5}
    chats = OwnChats(name="c", files=str(tmp_path / "chats.jsonl"), share=share)
    divided = chats.load(load_vocabulary(tmp_path, causal=True))
    parts = [divided.examples(split) for split in share]
    of = [{example.inputs.split()[1] for example in part} for part in parts]
    assert not of[0] & of[1]
    assert [len(part) for part in parts] == [2 * len(own) for own in of]
    assert all(parts)
    both = {example.inputs: example for part in parts for example in part}
    assert both == {example.inputs: example for example in whole.examples("train")}
    line = divided.source.place("validation", 0).split(":")[-2]
    assert parts[1][0].inputs.split()[1] == str(int(line) - 1)
    for wrong, message in (
        ({"train": 0.5}, "use shares above 0, 1 in sum"),
        ({"train": 0.9999, "test": 0.0001}, "in 0 conversations of the split"),
    ):
        chats = OwnChats(name="c", files=str(tmp_path / "chats.jsonl"), share=wrong)
        with pytest.raises(ValueError, match=message):
            chats.load(load_vocabulary(tmp_path, causal=True)).num_examples("test")


def test_a_request_is_asked_as_in_training_and_by_the_server(
    make: MakeChats, tmp_path: Path
):
    task = make({"messages": MESSAGES})
    (trained,) = task.pairs("train", [1])
    layout = layout_of(task, Lengths(100, 20, folds=False), SOFT)
    row = layout.prompted(trained).inputs.tolist()
    for messages in (MESSAGES[:4], MESSAGES):  # An answer that is there is left out.
        (asked,) = request_pairs(task, [Row("here", {"messages": messages})])
        assert layout.prompted(asked).inputs.tolist() == row
    text, turn = "five?", [{"role": "user", "content": "five?"}]
    one, other = request_pairs(
        task, [Row("here", {"messages": x}) for x in (text, turn)]
    )
    assert one.inputs.tolist() == other.inputs.tolist()
    template = read_chat_template(tmp_path)
    assert template is not None
    turns = [Turn(m["role"], m["content"]) for m in MESSAGES[:4]]
    served = AsItIs(load_vocabulary(tmp_path, causal=True), SOFT)
    assert served.lay(template.write(turns, answer=True), "messages").ids == row
    assert task.decode(trained.targets[None]) == ["日本 7"]


USER = MESSAGES[1]
WRONG = {
    r"chats.jsonl:1: no field 'messages': the row has text": {"text": "x"},
    r"chats.jsonl:1: messages is \"x\": use a list": {"messages": "x"},
    r"chats.jsonl:1: messages is \[\]": {"messages": []},
    r"messages\[0\]: role 'tool' is not one of system, user, assistant, human": {
        "messages": [{"role": "tool", "content": "x"}]
    },
    r"messages\[0\]: no field 'role': the turn has who": {"messages": [{"who": "x"}]},
    r"messages\[1\]: field 'content' is null": {
        "messages": [USER, {"role": "assistant", "content": None}]
    },
    r"messages\[0\]: content\[0\]: a part of type 'image_url'": {
        "messages": [{"role": "user", "content": [{"type": "image_url"}]}]
    },
    r"messages\[1\]: the turn has tool_calls": {
        "messages": [USER, {"role": "assistant", "tool_calls": [{}], "content": ""}]
    },
    r"messages\[1\]: weight 2: use 1": {
        "messages": [USER, {**MESSAGES[2], "weight": 2}]
    },
    r"chats.jsonl:1: messages\[1\]: the answer is empty": {
        "messages": [USER, {"role": "assistant", "content": " "}]
    },
    r"no turn of 'assistant' to learn in 1 conversations": {"messages": [USER]},
    r"chats.jsonl:1: messages\[1\]: .* its chat template cannot write this: no": {
        "messages": [USER, {"role": "assistant", "content": "refused"}]
    },
}


@pytest.mark.parametrize("message", WRONG)
def test_a_malformed_conversation_is_named(make: MakeChats, message: str):
    refusing = (
        "{% for m in messages %}{% if m.content == 'refused' %}"
        "{{ raise_exception('no') }}{% endif %}{% endfor %}"
    )
    task = make(WRONG[message], template=refusing + CHATML)
    with pytest.raises(ValueError, match=message):
        task.num_examples("train")


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path):
    byte_pairs(300, SPECIAL).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "tokenizer_config.json").write_text(
        '{"eos_token": "<|im_end|>", "tokenizer_class": "PreTrainedTokenizerFast"}'
    )
    vocabulary = load_vocabulary(tmp_path, causal=True)
    with pytest.raises(ValueError, match="so the conversations of task chats cannot"):
        OwnChats(name="chats").load(vocabulary)
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"eos_token": "<|im_end|>", "chat_template": CHATML})
    )
    for task, message in (
        (OwnChats(files={"train": "rows.json"}), "unknown extension '.json'"),
        (OwnChats(metrics=("f1",)), "no metric 'f1' for a task with free text"),
    ):
        with pytest.raises(ValueError, match=message):
            task.load(vocabulary)
