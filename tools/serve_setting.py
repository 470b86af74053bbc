"""A server with a bank of random prompts, for the tools that load it and disturb it."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxprompt.cli import main
from jaxprompt.command.configure import configure
from jaxprompt.config.answering import describe
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.config import SiteName
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import Deep, Prompt, make_deep, make_prompt

TEXTS = (
    "The film was",
    "Once upon a time there was a small house at the end of the road, and",
    "Question: what is the capital of France? Answer:",
    "a gripping , funny and moving story",
)
ADMIN_KEY = "admin"
"""What loads and unloads prompts."""

SHORTEST, LONGEST = 5, 100
"""Tokens of the prompts."""

_START = 300
"""Seconds in which a server has to be ready."""

_MAIN = "import sys; from jaxprompt.cli import main; sys.exit(main())"


class Asked(NamedTuple):
    """A text behind a prompt."""

    prompt: str
    text: str


def draw_prompts(backbone: Backbone, count: int) -> dict[str, Prompt]:
    """Draws prompts of 5 to 100 tokens: their answers mean nothing, and cost the same.

    Of a decoder every third one is deep, with gates or without; those have one of three
    shapes, so that `jaxprompt predict` compiles few programs.
    """
    found = {}
    for number in range(count):
        draw = np.random.default_rng(number)
        steps = max(count - 1, 1)
        length = SHORTEST + (LONGEST - SHORTEST) * number // steps
        if number % 3 < 2 or not backbone.causal:
            rows = draw.normal(0, 0.1, (length, backbone.width))
            found[f"p{number}"] = make_prompt(jax.numpy.asarray(rows))
            continue
        kind = number // 3 % 3
        site = backbone.config.sites["decoder"]
        length = (SHORTEST, (SHORTEST + LONGEST) // 2, LONGEST)[kind]
        shape = (site.layers, length, site.kv_heads, site.head_width)
        keys, values = (jax.numpy.asarray(draw.normal(0, 0.3, shape)) for _ in range(2))
        gate = None
        if kind == 1:
            gates = draw.normal(0, 0.3, (site.layers, backbone.config.heads))
            gate = jax.numpy.asarray(gates)
        deep: dict[SiteName, Deep] = {"decoder": make_deep(keys, values, gate=gate)}
        found[f"p{number}"] = make_prompt(jax.numpy.zeros((0, backbone.width)), deep)
    return found


def write_bank(
    folder: Path,
    model: str,
    backbone: Backbone,
    prompts: Mapping[str, Prompt],
    tokens: int,
) -> None:
    """Writes prompt files that `jaxprompt predict` can answer with too.

    Args:
        folder: Where; it must exist.
        model: The model's name or path.
        backbone: The model's functions.
        prompts: Name -> prompt.
        tokens: Most tokens of an answer.
    """
    settings = [f"MODEL={model!r}", "METHOD='greedy'", "BATCH_SIZE=32"]
    settings += [f"TARGET_LENGTH={tokens}", "INPUT_LENGTH=48"]
    settings += ["OwnTask.name='any'", "OwnTask.inputs='{text}'"]
    settings += ["OwnTask.labels=None", "OwnTask.metrics=('exact_match',)"]
    files = ["gin/runs/prompt_tuning.gin", "gin/tasks/own.gin"]
    run, config = configure(files, settings)
    said = {"task": "any", "config": config, "answering": describe(run)}
    for name, prompt in prompts.items():
        save_prompt(folder / f"{name}.safetensors", prompt, backbone, **said)


def predict(
    bank: Path, prompts: Mapping[str, Prompt], asked: Sequence[Asked], folder: Path
) -> dict[Asked, str]:
    """Answers by `jaxprompt predict`, prompts of one shape at a time.

    Args:
        bank: Where their files are.
        prompts: Name -> prompt.
        asked: What to answer.
        folder: For files in between.
    """
    groups: dict[str, list[str]] = {}
    for name, prompt in prompts.items():
        shape = prompt.told if prompt.deep else "soft tokens"
        groups.setdefault(shape, []).append(name)
    found: dict[Asked, str] = {}
    rows, said = folder / "asked.jsonl", folder / "said.jsonl"
    for names in groups.values():
        own = [one for one in asked if one.prompt in names]
        if not own:
            continue
        lines = [json.dumps(one._asdict()) for one in own]
        rows.write_text("\n".join(lines) + "\n")
        files = [f"--prompt={bank / name}.safetensors" for name in names]
        if len(names) == 1:  # Its rows need not name it, nor may they.
            texts = [json.dumps({"text": one.text}) for one in own]
            rows.write_text("\n".join(texts) + "\n")
        flags = [f"--input={rows}", f"--output={said}", "--overwrite"]
        if main(["predict", *files, *flags]):
            raise RuntimeError(f"predict failed for {names}")
        answers = [json.loads(line) for line in said.read_text().splitlines()]
        found |= {one: row["prediction"] for one, row in zip(own, answers, strict=True)}
    return found


class Running(NamedTuple):
    """A server that runs.

    Attributes:
        url: Where it answers.
        pid: Its process.
        log: Its lines so far; none where its log lies on a full disk.
    """

    url: str
    pid: int
    log: list[str]

    def get(self, path: str) -> Any:
        """Returns what a route answers."""
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return json.loads(answer.read())

    def post(self, path: str, **body: Any) -> Any:
        """Asks as who may load prompts; raises where that is refused."""
        request = urllib.request.Request(
            f"{self.url}{path}",
            json.dumps(body).encode(),
            {"Authorization": f"Bearer {ADMIN_KEY}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    def counted(self, name: str, **labels: str) -> float:
        """Returns what the server counted under a name, of these labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=60) as answer:
            lines = answer.read().decode().splitlines()
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith(f"jaxprompt:{name}{{")
            and all(label in line for label in wanted)
        )


def command(model: str, bank: Path, *flags: str) -> list[str]:
    """Returns the command of a server at any free port; later flags win."""
    start = [sys.executable, "-c", _MAIN, "serve", f"--model={model}"]
    return [*start, f"--bank={bank}", "--port=0", *flags]


def free_port() -> int:
    """Returns a port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@contextlib.contextmanager
def full_disk(folder: Path) -> Iterator[Path]:
    """Yields a file on a disk where a line has room, and no second one.

    That is a disk of its own; where none may be mounted, /dev/full, without any room.

    Args:
        folder: Where the disk is mounted meanwhile.
    """
    disk = folder / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(disk)]
    if (
        shutil.which("mount") is None
        or subprocess.run(mount, capture_output=True).returncode
    ):
        yield Path("/dev/full")
        return
    try:
        log = disk / "log"
        with log.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"\n" * 64)
        os.truncate(log, log.stat().st_size - 64)
        yield log
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@contextlib.contextmanager
def running(
    words: Sequence[str], *, port: int | None = None, log: Path | None = None
) -> Iterator[Running]:
    """Starts a server, and yields it when it is ready.

    Args:
        words: Its command.
        port: Where it answers, if it has a log; None where a line of its says so.
        log: A file that all its lines are appended to; None to read them.
    """
    environment = {**os.environ, "JAXPROMPT_ADMIN_KEY": ADMIN_KEY}
    with contextlib.ExitStack() as files:
        to: Any = {"stderr": subprocess.PIPE}
        if log is not None:
            file = files.enter_context(log.open("ab"))
            to = {"stdout": file, "stderr": file}
        process = subprocess.Popen(words, **to, text=True, env=environment)
    lines: list[str] = []
    told = threading.Event()

    def read() -> None:
        for line in process.stderr or ():
            lines.append(line)
            if "ready on" in line:
                told.set()
        told.set()

    reader = threading.Thread(target=read, daemon=True)
    try:
        if port is None:
            reader.start()
            told.wait(_START)
            found = re.search(r"ready on (http\S+)", "".join(lines))
            if found is None:
                raise RuntimeError(f"the server did not start: {''.join(lines[-3:])}")
            yield Running(found[1], process.pid, lines)
        else:
            server = Running(f"http://127.0.0.1:{port}", process.pid, lines)
            _wait_until_ready(server, process)
            yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=60)
        finally:
            process.kill()
            process.wait()
            if port is None:
                reader.join()
            if process.stderr is not None:
                process.stderr.close()


def _wait_until_ready(server: Running, process: "subprocess.Popen[str]") -> None:
    pause = threading.Event()
    for _ in range(10 * _START):
        with contextlib.suppress(OSError):
            if server.get("/ready")["ready"]:
                return
        if process.poll() is not None:
            break
        pause.wait(0.1)
    raise RuntimeError("the server did not start")
