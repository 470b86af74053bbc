"""Conversations as models' own templates write them, and what of them is learned."""

import datetime
import json
from pathlib import Path

import numpy as np
import pytest
from gguf_files import add_byte_pairs, byte_pairs, finish, start_file
from tokenizers import Tokenizer

from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.rows.requests import request_rows
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.chat import (
    ChatTemplate,
    Turn,
    ask_by_roles,
    read_chat_template,
)
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>", "<end_of_turn>"]
# That of SmolLM2-Instruct, with a shorter default.
CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>'"
    " + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# As Gemma's: no system role, "model" answers, and texts are trimmed.
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}\n"
    "{% for message in messages %}\n"
    "    {% set role = 'model' if message['role'] == 'assistant' else 'user' %}\n"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim }}"
    "{{ '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}"
)
# With what newer templates ask for: a date, JSON, a loop that is left, a marked answer.
NEWER = (
    "{{ strftime_now('%Y') | length }} {{ messages[0] | tojson }}\n"
    "{% for m in messages %}{% if m.role == 'tool' %}{% break %}{% endif %}"
    "[{{ m.role }}]{% if m.role == 'assistant' %}"
    "{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
    "{% else %}{{ m.content }}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)
TURNS = (
    Turn("user", "2 + 2?\n"),
    Turn("assistant", "  4, it's 4.\n\n"),
    Turn("user", "日本語"),
    Turn("assistant", "はい <b>&"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    tokenizer = byte_pairs(300, SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def settle(folder: Path, template: object) -> None:
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": {"__type": "AddedToken", "content": "<bos>"},
        "eos_token": "<|im_end|>",
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def template_of(folder: Path, source: object) -> ChatTemplate:
    settle(folder, source)
    template = read_chat_template(folder)
    assert template is not None
    return template


@pytest.mark.parametrize("answer", [True, False])
@pytest.mark.parametrize("source", [CHATML, GEMMA, NEWER])
def test_a_conversation_is_written_as_transformers_writes_it(
    folder: Path, source: str, answer: bool
):
    transformers = pytest.importorskip("transformers")
    template = template_of(folder, source)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    for turns in (TURNS, TURNS[:1], (Turn("system", "Be brief."), *TURNS)):
        if source == GEMMA and turns[0].role == "system":
            continue
        expected = theirs.apply_chat_template(
            [turn._asdict() for turn in turns],
            tokenize=False,
            add_generation_prompt=answer,
        )
        assert template.write(turns, answer=answer) == expected


def test_a_date_is_the_same_on_any_day_unless_one_is_given(folder: Path):
    template = template_of(folder, "{{ strftime_now('%d %b %Y') }}")
    assert template.write(TURNS) == "26 Jul 2024"
    now = datetime.datetime(2031, 2, 3)
    assert template.write(TURNS, now=now) == "03 Feb 2031"


@pytest.mark.parametrize("source", [CHATML, NEWER])
def test_an_answer_is_parted_from_what_is_asked_and_from_its_end(
    folder: Path, source: str
):
    template = template_of(folder, source)
    spoken = template.speak(TURNS)
    assert spoken.asked == template.write(TURNS[:3], answer=True)
    assert spoken.said == TURNS[3].content
    assert "".join(spoken) == template.write(TURNS)
    trimmed = template_of(folder, GEMMA).speak(TURNS[:2])
    assert trimmed.said == TURNS[1].content.strip()


def test_roles_become_one_template_with_soft_tokens_in_the_system_turn(folder: Path):
    turns = [
        Turn("system", "{slots:20}"),
        Turn("user", "Is {{this}} good: {text} {n}?"),
    ]
    assert template_of(folder, CHATML).as_template(turns) == (
        "<|im_start|>system\n{slots:20}<|im_end|>\n"
        "<|im_start|>user\nIs {{this}} good: {text} {n}?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )
    braces = template_of(folder, "{{ '{\"role\": 1}' }}" + CHATML)
    assert braces.as_template(turns[1:]).startswith('{{"role": 1}}<|im_start|>system')
    forgetful = template_of(folder, "{{ messages[0].content }}")
    with pytest.raises(ValueError, match=r"it leaves \{text\} out"):
        forgetful.as_template(turns)
    with pytest.raises(ValueError, match=r"Single '}' .*: write \{field\}"):
        forgetful.as_template([Turn("user", "}")])


def test_a_task_of_roles_asks_by_the_template_and_ends_as_a_turn(
    folder: Path, tmp_path: Path
):
    settle(folder, GEMMA)
    vocabulary = load_vocabulary(folder, causal=True)
    text, ending = ask_by_roles(vocabulary, {"user": "{slots:3} Is it so: {text}?"})
    assert text == (
        "<bos><start_of_turn>user\n{slots:3} Is it so: {text}?<end_of_turn>\n"
        "<start_of_turn>model\n"
    )
    assert (vocabulary.eos_id, ending.eos_id) == (2, 4)
    assert ending.decode(ending.encode("yes<|im_end|>no")) == "yes"
    with pytest.raises(ValueError, match="System role not supported"):
        ask_by_roles(vocabulary, {"system": "{slots:3}", "user": "{text}"})
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    bare = load_vocabulary(tmp_path, causal=True)
    with pytest.raises(ValueError, match="no chat template beside the vocabulary"):
        ask_by_roles(bare, {"user": "{text}"})


def test_an_answer_ends_as_the_template_ends_a_turn(folder: Path):
    for source, name in ((CHATML, "<|im_end|>"), (GEMMA, "<end_of_turn>")):
        template = template_of(folder, source)
        vocabulary = load_vocabulary(folder, causal=True)
        assert template.turn_end(vocabulary) == SPECIAL.index(name)


def test_ends_of_turns_end_an_answer_too(folder: Path):
    settle(folder, CHATML)
    vocabulary = load_vocabulary(folder, causal=True)
    names = ["<|im_end|>", "<|endoftext|>", "<end_of_turn>"]
    assert vocabulary.eos_id == 2
    assert set(vocabulary.end_ids) == {SPECIAL.index(name) for name in names}
    text = vocabulary.encode("yes<end_of_turn>\nno")
    assert vocabulary.decode(text) == "yes"


def test_a_gguf_file_holds_the_same_template(folder: Path, tmp_path: Path):
    expected = template_of(folder, CHATML)
    writer = start_file(tmp_path / "model.gguf")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    add_byte_pairs(writer, tokenizer, "gpt-2")
    writer.add_bos_token_id(3)
    writer.add_eos_token_id(2)
    writer.add_chat_template(CHATML)
    finish(writer)
    found = read_chat_template(tmp_path / "model.gguf")
    assert found is not None
    assert (found.source, found.names) == (expected.source, expected.names)
    ours = load_vocabulary(tmp_path / "model.gguf", causal=True)
    theirs = load_vocabulary(folder, causal=True)
    assert found.turn_end(ours) == expected.turn_end(theirs) == 2
    assert ours.encode(found.write(TURNS)) == theirs.encode(expected.write(TURNS))


def test_a_template_is_found_where_models_have_it(folder: Path, tmp_path: Path):
    assert read_chat_template(tmp_path) is None
    named = [{"name": "tools", "template": "x"}, {"name": "default", "template": "y"}]
    assert template_of(folder, named).source == "y"
    of_processor = tmp_path / "chat_template.json"
    of_processor.write_text('{"chat_template": 3}')
    with pytest.raises(ValueError, match=r"template\.json: chat_template 3 is no text"):
        read_chat_template(tmp_path)
    of_processor.write_text('{"chat_template": "of a processor"}')
    assert template_of(tmp_path, None).source == "of a processor"
    settle(tmp_path, "in the settings")
    template = read_chat_template(tmp_path)
    assert template is not None
    assert template.source == "in the settings"
    (tmp_path / "chat_template.jinja").write_text("in a file of its own")
    template = read_chat_template(tmp_path / "tokenizer.json")
    assert template is not None
    assert template.source == "in a file of its own"
    assert template.names == {"bos_token": "<bos>", "eos_token": "<|im_end|>"}


def test_a_template_has_the_names_that_transformers_gives_it(tmp_path: Path):
    transformers = pytest.importorskip("transformers")
    byte_pairs(300, SPECIAL).save(str(tmp_path / "tokenizer.json"))
    settle(
        tmp_path, "{{ bos_token }}{% if tools is not none %}T{% endif %}{{ documents }}"
    )
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    del settings["bos_token"]
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    named = json.dumps({"bos_token": "<bos>"})
    (tmp_path / "special_tokens_map.json").write_text(named)
    template = read_chat_template(tmp_path)
    assert template is not None
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    said = [turn._asdict() for turn in TURNS]
    expected = theirs.apply_chat_template(said, tokenize=False)
    assert template.write(TURNS) == expected == "<bos>None"


WRONG = {
    "{% for %}": "line 1: ",
    "{{ messages[9].content.upper() }}": "has no element 9",
    "{{ ''.__class__.__mro__ }}": "unsafe",
    "{{ messages.append(1) }}": "unsafe|not safely callable",
    "{% include '/etc/passwd' %}": "no loader",
    "{{ raise_exception('System role\nnot supported') }}": "System role not supported",
    "{{ 1 / 0 }}": "division by zero",
}


@pytest.mark.parametrize("source", WRONG)
def test_a_template_that_cannot_be_used_is_one_line(folder: Path, source: str):
    template = template_of(folder, source)
    with pytest.raises(ValueError, match=WRONG[source]) as caught:
        template.write(TURNS)
    assert "\n" not in str(caught.value)
    assert "tokenizer_config.json: its chat template cannot write" in str(caught.value)


def test_what_cannot_be_learned_is_refused(folder: Path):
    vocabulary = load_vocabulary(folder, causal=True)
    endless = "{% for m in messages %}{{ m.content }}{% endfor %}"
    with pytest.raises(ValueError, match="nothing ends the turn of 'assistant'"):
        template_of(folder, endless).turn_end(vocabulary)
    counting = "{{ messages | length }}" + CHATML
    with pytest.raises(ValueError, match="otherwise than behind what is asked"):
        template_of(folder, counting).speak(TURNS)
    shouting = CHATML.replace("message['content']", "message['content'] | upper")
    with pytest.raises(ValueError, match="changes what the assistant says, "):
        template_of(folder, shouting).speak(TURNS[:2])
    with pytest.raises(ValueError, match=r"chat_template 3 is no text"):
        template_of(folder, 3)
    with pytest.raises(ValueError, match=r"has 2,000,000 characters"):
        template_of(folder, "x" * 2_000_000)


def test_constant_turns_are_read_once_for_all_rows(folder: Path):
    settle(folder, CHATML)
    vocabulary = load_vocabulary(folder, causal=True)
    roles = {"system": "You help.{slots:2}", "user": "Is it {text}?"}
    inputs, ending = ask_by_roles(vocabulary, roles)
    task = file_task("own", files={}, inputs=inputs, target="a", vocabulary=ending)
    rows = {n: Row("here", {"text": text}) for n, text in enumerate(("", "no", "日"))}
    soft = np.array([900, 901], np.int32)
    batch = request_rows(task, rows, Lengths(90, 4), soft).batch
    front = vocabulary.encode("<|im_start|>system\nYou help.")
    behind = vocabulary.encode("<|im_end|>\n<|im_start|>user\nIs it")
    assert batch.lead == (*front, *soft.tolist(), *behind)
