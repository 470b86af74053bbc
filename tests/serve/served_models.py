"""A random Llama as a folder with prompts, and a real server of it on loopback."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from gguf_files import byte_pairs
from slot_models import draw_params, draw_prompt

from jaxprompt.command.configure import configure
from jaxprompt.config.answering import describe
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.llama import LlamaConfig
from jaxprompt.models.load import find_checkpoint, open_backbone
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import save_prompt

BOS = "<bos>"
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", BOS]
TEMPLATE = (
    "{{ bos_token }}"
    "{% for message in messages %}{% if message['role'] == 'system' and not loop.first"
    " %}{{ raise_exception('late') }}{% endif %}"
    "{{'<|im_start|>' + message['role'] + ' ' + message['content'] + '<|im_end|>'}}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant ' }}{% endif %}"
)
PROMPTS = {
    "one": (1, 0),
    "short": (4, 0),
    "long": (9, 0),
    "deep": (0, 5),
    "amid": (5, 0),
    "with_gate": (0, 4),
}
"""Name of each prompt -> its soft tokens, and its keys and values."""

TEMPLATES = {
    "short": "review: {text} It was",
    "amid": "say {slots:2} of {text} and {slots:3} no more",
    "pair": "{premise} means {hypothesis}",
}
"""Name -> the template of its task; of the others it is the text alone."""

SETTINGS = [
    "MODEL='model'",
    "METHOD='greedy'",
    "OwnTask.name='reviews'",
    "TARGET_LENGTH=12",
    "INPUT_LENGTH=40",
    "BATCH_SIZE=8",
]
LABELS = [
    "OwnTask.labels={'0': 'bad', '1': ('good', 'user')}",
    "OwnTask.word_score='mean'",
]
START = 60
"""Seconds in which a server has to be ready."""


def write_model(folder: Path) -> None:
    """Writes model/, a random Llama with a chat template, and bank/ of prompts."""
    (folder / "pieces").mkdir(parents=True)
    # As a Llama's, it puts beginning-of-sequence in front of a text.
    tokenizer = byte_pairs(300, SPECIAL, first=BOS)
    tokenizer.save(str(folder / "pieces" / "tokenizer.json"))
    config = LlamaConfig(
        vocab_size=300,
        width=16,
        heads=2,
        kv_heads=1,
        head_width=8,
        ffn_width=24,
        layers=2,
        positions=512,
        theta=100.0,
    )
    backbone = Decoder(config, vocabulary=str(folder / "pieces"))
    save(folder / "model", backbone, draw_params(config))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": "<|im_end|>",
        "chat_template": TEMPLATE,
    }
    (folder / "model" / "tokenizer_config.json").write_text(json.dumps(settings))
    write_prompts(folder, PROMPTS)


def write_prompts(folder: Path, sizes: dict[str, tuple[int, int]]) -> None:
    """Writes prompts of the model, which `jaxprompt predict` can answer with too."""
    (folder / "bank").mkdir(exist_ok=True)
    backbone = open_backbone(find_checkpoint(folder / "model"))
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/own.gin"]
    for name, (soft, deep) in sizes.items():
        inputs = f"OwnTask.inputs={TEMPLATES.get(name, '{text}')!r}"
        run, config = configure(files, [*SETTINGS, inputs, *LABELS])
        gated = name == "with_gate"
        prompt = draw_prompt(backbone, soft, deep, seed=len(name), gated=gated)
        file = folder / "bank" / f"{name}.safetensors"
        told = {"task": "reviews", "config": config, "answering": describe(run)}
        save_prompt(file, prompt, backbone, **told)


class Server(NamedTuple):
    """A server that runs.

    Attributes:
        url: Where it answers.
        process: It.
        lines: What it has said.
    """

    url: str
    process: subprocess.Popen
    lines: list[str]

    def stop(self, how: int = signal.SIGTERM) -> int:
        self.process.send_signal(how)
        return self.process.wait(timeout=30)


@contextlib.contextmanager
def serving(
    folder: Path, *flags: str, model: str = "model", **environment: str
) -> Iterator[Server]:
    """Starts `jaxprompt serve` in a process, and waits until it is ready."""
    command = [sys.executable, "-c", _MAIN, "serve", f"--model={model}", "--port=0"]
    process = subprocess.Popen(
        [*command, "--slots=3", "--slot_tokens=256", *flags],
        cwd=folder,
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    lines: list[str] = []
    said = threading.Event()

    def read() -> None:
        for line in process.stderr or ():
            lines.append(line)
            if "ready on" in line:
                said.set()
        said.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert said.wait(START), lines
        found = [match for line in lines if (match := re.search(r"http://\S+", line))]
        assert found, lines
        yield Server(found[0].group(), process, lines)
    finally:
        process.kill()
        process.wait()
        reader.join()
        if process.stderr is not None:
            process.stderr.close()


_MAIN = "import sys; from jaxprompt.cli import main; sys.exit(main())"


def choice_of(answer: Any) -> Any:
    (choice,) = answer.choices
    return choice
