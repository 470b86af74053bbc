"""Times a server of many prompts: a decoding step, a load of requests, and its answers.

    python tools/bench_serve.py --model=SmolLM2-135M-Instruct.Q4_1.gguf --peft

Prompts are random, shallow and deep, of 5 to 100 tokens: their answers mean nothing,
and cost the same. Every answer under load is compared with the one that
the same request got alone. With --peft the same requests then go to
tools/peft_server.py, which switches adapters, with the same weights and prompts; that
takes the extra `parity`.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import openai

from jaxprompt.config.settings import Model
from jaxprompt.interop.peft_prefix import write_prefix
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import Prompt, make_deep, make_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.serve.slots.engine import GREEDY
from jaxprompt.serve.slots.slot_engine import SlotEngine
from jaxprompt.sharding import make_mesh

TEXTS = [
    "The film was",
    "Once upon a time there was a small house at the end of the road, and",
    "Question: what is the capital of France? Answer:",
    "a gripping , funny and moving story\n",
]


class Load(NamedTuple):
    """What one request cost, in seconds."""

    first: float
    between: list[float]
    text: str


def main() -> None:
    """Prints a table of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--slot_tokens", type=int, default=256)
    parser.add_argument("--tokens", type=int, default=16)
    parser.add_argument("--requests", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--peft", action="store_true", help="PEFT's answers/s too")
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        bank.mkdir()
        _time_engine(flags, bank)
        with _ready(_ours(flags, bank)) as url:
            asyncio.run(_time_server(flags, url))
            rates = asyncio.run(_time_whole(flags, url))
        if flags.peft:
            with _ready(_theirs(flags, bank, Path(folder))) as url:
                theirs = asyncio.run(_time_whole(flags, url))
            for together, rate in rates.items():
                print(
                    f"{together:2} together, answers a second: jaxprompt {rate:.2f}, "
                    f"PEFT {theirs[together]:.2f}, ratio {rate / theirs[together]:.2f}"
                )


def _time_engine(flags: argparse.Namespace, bank: Path) -> None:
    """Times a step with one prompt in all slots, with all of them mixed, with none."""
    frozen = open_model(Model(name=flags.model)).load(make_mesh())
    backbone = frozen.backbone
    prompts = [_draw(backbone, number) for number in range(flags.prompts)]
    for number, prompt in enumerate(prompts):
        save_prompt(bank / f"p{number}.safetensors", prompt, backbone)
    engine = SlotEngine(
        backbone,
        frozen.model,
        slots=flags.slots,
        capacity=flags.slot_tokens,
        prompt_room=128,
    )
    start = time.perf_counter()
    engine.warm()
    print(f"compiled {engine.compiled} programs in {time.perf_counter() - start:.1f} s")
    compiled, seconds, ready = engine.compiled, [], []
    for prompt in prompts:
        start = time.perf_counter()
        soft = prefix(backbone.vocab_rows, prompt.length).tolist()
        ready.append((engine.read(prompt, soft[:-1]), soft[-1:]))
        seconds.append(time.perf_counter() - start)
    slots = ready[0][0].held.slots
    size = slots.keys.nbytes + slots.values.nbytes
    print(
        f"reading a prompt: median {1e3 * statistics.median(seconds):.1f} ms, longest "
        f"{1e3 * max(seconds):.1f} ms; {engine.compiled - compiled} compiled; "
        f"{size / 2**20:.2f} MiB each, with room for {engine.prompt_room} tokens"
    )
    none = (engine.read(None), [])
    mixtures = {
        "no prompt": [none] * flags.slots,
        "one prompt": [ready[-1]] * flags.slots,
        f"{flags.prompts} mixed": [ready[n % len(ready)] for n in range(flags.slots)],
    }
    ids = frozen.vocabulary.encode(TEXTS[0])
    active = np.ones(flags.slots, bool)
    times: dict[str, list[float]] = {name: [] for name in mixtures}
    for _ in range(3):  # In turn, as the machine's speed changes.
        for name, mixture in mixtures.items():
            for slot, (one, row) in enumerate(mixture):
                engine.fill(slot, one, [*row, *ids], GREEDY)
            engine.step(active)
            for _ in range(flags.steps):
                start = time.perf_counter()
                engine.step(active)
                times[name].append(time.perf_counter() - start)
    bare = statistics.median(times["no prompt"])
    for name, found in times.items():
        median = statistics.median(found)
        print(
            f"a step of {flags.slots} slots, {name}: median {1e3 * median:.1f} ms, "
            f"{median / bare:.3f} of none"
        )


def _draw(backbone: Backbone, number: int) -> Prompt:
    """Draws a prompt: every third one is deep."""
    draw = np.random.default_rng(number)
    length = 5 + (95 * number) // 31
    if number % 3 < 2:
        return make_prompt(
            jax.numpy.asarray(draw.normal(0, 0.1, (length, backbone.width)))
        )
    site = backbone.config.sites["decoder"]
    shape = (site.layers, length, site.kv_heads, site.head_width)
    keys, values = (jax.numpy.asarray(draw.normal(0, 0.3, shape)) for _ in range(2))
    deep = make_deep(keys, values)
    return make_prompt(jax.numpy.zeros((0, backbone.width)), {"decoder": deep})


def _ours(flags: argparse.Namespace, bank: Path) -> list[str]:
    main = "import sys; from jaxprompt.cli import main; sys.exit(main())"
    command = [
        sys.executable,
        "-c",
        main,
        "serve",
        f"--model={flags.model}",
        "--port=0",
    ]
    command += [f"--bank={bank}", f"--slots={flags.slots}"]
    command += [f"--slot_tokens={flags.slot_tokens}", "--queue=1000"]
    return [*command, "--deadline=600"]


def _theirs(flags: argparse.Namespace, bank: Path, folder: Path) -> list[str]:
    """Writes the model and its prompts as PEFT reads them."""
    backbone, params = load(flags.model)
    save(folder / "model", backbone, params)
    for file in bank.iterdir():
        prompt, _ = load_prompt(file)
        adapter = folder / "adapters" / file.stem
        adapter.parent.mkdir(exist_ok=True)
        in_front = {
            site: dataclasses.replace(deep, in_front=True)
            for site, deep in prompt.deep.items()
        }
        # All as prefixes: one model of PEFT's takes adapters of one kind alone.
        whole = dataclasses.replace(prompt, deep=in_front)
        write_prefix(adapter, backbone, params, whole, str(folder / "model"))
    tool = str(Path(__file__).with_name("peft_server.py"))
    places = [f"--model={folder / 'model'}", f"--adapters={folder / 'adapters'}"]
    return [sys.executable, tool, *places]


@contextlib.contextmanager
def _ready(command: list[str]) -> Iterator[str]:
    """Starts a server, and yields where it answers."""
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    try:
        for line in process.stderr or ():
            if found := re.search(r"ready on (http\S+)", line):
                yield found[1]
                break
        else:
            raise RuntimeError("the server did not start")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


async def _time_server(flags: argparse.Namespace, url: str) -> None:
    options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": "none"}
    names = [f"p{number}" for number in range(flags.prompts)]
    asked = [
        (names[n % len(names)], TEXTS[n % len(TEXTS)]) for n in range(flags.requests)
    ]
    async with openai.AsyncOpenAI(**options, max_retries=0, timeout=600) as client:
        alone: dict[tuple[str, str], str] = {}
        for together in (1, 8, 32):
            limit = asyncio.Semaphore(together)

            async def one(name: str, text: str, limit: Any = limit) -> Load:
                async with limit:
                    return await _ask(client, name, text, flags.tokens)

            start = time.perf_counter()
            found = await asyncio.gather(
                *(one(*each) for each in asked), return_exceptions=True
            )
            seconds = time.perf_counter() - start
            loads = [load for load in found if isinstance(load, Load)]
            lost = len(found) - len(loads)
            if together == 1:
                alone = {
                    each: load.text
                    for each, load in zip(asked, found, strict=True)
                    if isinstance(load, Load)
                }
            wrong = sum(
                isinstance(load, Load) and load.text != alone.get(each)
                for each, load in zip(asked, found, strict=True)
            )
            firsts = sorted(load.first for load in loads)
            between = [gap for load in loads for gap in load.between] or [0.0]
            print(
                f"{together:2} together: first token median "
                f"{1e3 * statistics.median(firsts):.0f} ms, 99 % "
                f"{1e3 * firsts[int(0.99 * (len(firsts) - 1))]:.0f} ms; between tokens "
                f"median {1e3 * statistics.median(between):.1f} ms; "
                f"{len(loads) / seconds:.2f} answers/s; {wrong} wrong, {lost} lost of "
                f"{len(found)}"
            )


async def _time_whole(flags: argparse.Namespace, url: str) -> dict[int, float]:
    """Returns answers a second, of whole answers, for numbers of clients at once."""
    options: dict[str, Any] = {"base_url": f"{url}/v1", "api_key": "none"}
    rates = {}
    async with openai.AsyncOpenAI(**options, max_retries=0, timeout=600) as client:
        for together in (1, 8, 32):
            limit = asyncio.Semaphore(together)

            async def one(number: int, limit: Any = limit) -> None:
                async with limit:
                    await client.completions.create(
                        model=f"p{number % flags.prompts}",
                        prompt=TEXTS[number % len(TEXTS)],
                        max_tokens=flags.tokens,
                    )

            start = time.perf_counter()
            await asyncio.gather(*map(one, range(flags.requests)))
            rates[together] = flags.requests / (time.perf_counter() - start)
    return rates


async def _ask(client: openai.AsyncOpenAI, name: str, text: str, tokens: int) -> Load:
    start = last = time.perf_counter()
    first, between, said = 0.0, [], ""
    # With log-probabilities every token is an event, a held-back text too.
    stream = await client.completions.create(
        model=name, prompt=text, max_tokens=tokens, stream=True, logprobs=0
    )
    async for event in stream:
        now = time.perf_counter()
        if first:
            between.append(now - last)
        else:
            first = now - start
        last = now
        said += event.choices[0].text
    return Load(first, between, said)


if __name__ == "__main__":
    main()
