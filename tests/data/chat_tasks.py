"""Conversations, chat templates, and tasks of them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from gguf_files import byte_pairs

from jaxprompt.config import OwnChats
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary

SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<bos>", "<end_of_turn>"]
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As Gemma's, which trims texts, and calls the assistant by another name.
TRIMMED = (
    "{{ bos_token }}{% for m in messages %}"
    "<bos>{{ 'model' if m.role == 'assistant' else m.role }}\n"
    "{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<bos>model\n{% endif %}"
)
# As Qwen3's: an answer is written otherwise where it is the last turn.
THINKING = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if loop.last and m.role == 'assistant' %}[no thoughts]{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "one two three four?"},
    {"role": "assistant", "content": "  it is 2"},
    {"role": "user", "content": "five six <b>?"},
    {"role": "assistant", "content": "日本 7"},
]
SOFT = np.array([900, 901], np.int32)

MakeChats = Callable[..., Task]


def write_settings(folder: Path, template: str) -> None:
    """Writes what stands beside the tokenizer.json of `SPECIAL`."""
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<bos>",
        "eos_token": "<|im_end|>",
        "chat_template": template,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def make_chats(tmp_path: Path) -> MakeChats:
    """Makes tasks of conversations for a vocabulary of byte pairs in a folder."""
    tokenizer = byte_pairs(300, SPECIAL)
    tokenizer.save(str(tmp_path / "tokenizer.json"))

    def make(*rows: Any, template: str = CHATML, **settings: Any) -> Task:
        write_settings(tmp_path, template)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "chats.jsonl").write_text(lines)
        files = {"train": str(tmp_path / "chats.jsonl")}
        task = OwnChats(name="chats", files=files, **settings)
        return task.load(load_vocabulary(tmp_path, causal=True))

    return make
