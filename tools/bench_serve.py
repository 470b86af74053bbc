"""The table of a server of many prompts: its steps, loads, answers, and PEFT's.

    python tools/bench_serve.py --model=SmolLM2-135M-Instruct.Q4_1.gguf --peft

Prompts are random, shallow and deep, with gates and without, of 5 to 100 tokens: their
answers mean nothing, and cost the same. Every answer is compared with that of
`jaxprompt predict`, and under load with the one that the same request got alone. A T5
(bundled:nano) with 8 prompts follows. With --peft, which takes the extra `parity`, the
same requests then go to tools/peft_server.py, which switches adapters, with the same
weights and prompts. Each part is printed when it is done.
"""

import argparse
import dataclasses
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from serve_load import (
    HEADER,
    Load,
    ask_streams,
    gaps_until,
    likeliest_gap,
    whole_answers,
)
from serve_setting import (
    TEXTS,
    Asked,
    Running,
    command,
    draw_prompts,
    predict,
    running,
    write_bank,
)

from jaxprompt.config.settings import Model
from jaxprompt.interop.peft_prefix import write_prefix
from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.report.text.table import table
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.serve.slots.engine import GREEDY, Ready
from jaxprompt.serve.slots.slot_engine import SlotEngine
from jaxprompt.sharding import make_mesh
from jaxprompt.startup import leave_out_absent_tpu, use_compilation_cache

TOGETHER = (1, 8, 32)
"""Clients that ask at the same time."""

_MOST_TOKENS = 16
"""Tokens of an answer that the server allows, or more."""

_QUEUE = 64
"""Answers that may wait for a slot."""

_T5, _T5_PROMPTS = "bundled:nano", 8

_TIE = 1e-3
"""Nats between the two likeliest tokens, below which programs may choose otherwise."""


class Bank(NamedTuple):
    """A model and its prompts.

    Attributes:
        model: The model's name or path.
        folder: Of the prompts' files.
        prompts: Name -> prompt.
    """

    model: str
    folder: Path
    prompts: Mapping[str, Prompt]

    def asked(self, requests: int) -> list[Asked]:
        """Returns so many requests: all prompts in turn, then with other texts."""
        names = [*self.prompts]
        return [
            Asked(names[n % len(names)], TEXTS[(n + n // len(names)) % len(TEXTS)])
            for n in range(requests)
        ]


def main() -> None:
    """Prints a table of each part."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", required=True)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--slots", type=int, default=32)
    parser.add_argument("--slot_tokens", type=int, default=192)
    parser.add_argument("--tokens", type=int, default=8, help="of an answer")
    parser.add_argument("--requests", type=int, default=32, help="of each load")
    parser.add_argument("--steps", type=int, default=10, help="timed, three times")
    parser.add_argument("--peft", action="store_true", help="PEFT's answers/s too")
    flags = parser.parse_args()
    use_compilation_cache()
    leave_out_absent_tpu()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bank = make_bank(flags.model, flags.prompts, flags.tokens, folder / "bank")
        time_engine(flags, bank)
        rates = load_server(flags, bank, folder)
        nano = make_bank(_T5, _T5_PROMPTS, flags.tokens, folder / "nano")
        load_server(flags, nano, folder)
        if flags.peft:
            compare_with_peft(flags, bank, folder, rates)
    print(f"\nall of it: {time.perf_counter() - start:.0f} s")


def make_bank(model: str, count: int, tokens: int, folder: Path) -> Bank:
    """Draws prompts and writes their files."""
    folder.mkdir()
    backbone = open_model(Model(name=model)).backbone
    prompts = draw_prompts(backbone, count)
    write_bank(folder, model, backbone, prompts, tokens)
    return Bank(model, folder, prompts)


def time_engine(flags: argparse.Namespace, bank: Bank) -> None:
    """Times a step with one prompt in all slots, with all of them mixed, with none."""
    frozen = open_model(Model(name=bank.model)).load(make_mesh())
    backbone = frozen.backbone
    engine = SlotEngine(
        backbone,
        frozen.model,
        slots=flags.slots,
        capacity=flags.slot_tokens,
        prompt_room=128,
    )
    start = time.perf_counter()
    engine.warm()
    seconds = time.perf_counter() - start
    _say(f"\ncompiled {engine.compiled} programs in {seconds:.1f} s")
    ready = _read_all(engine, bank, backbone.vocab_rows)
    # Words in the place of the longest prompt: a step costs what its rows hold.
    longest = max(one.tokens + len(row) for one, row in ready)
    none = (engine.read(None), [frozen.vocabulary.encode(TEXTS[0])[0]] * longest)
    mixtures = {
        "no prompt": [none] * flags.slots,
        "one prompt": [ready[-1]] * flags.slots,
        f"{len(ready)} mixed": [ready[n % len(ready)] for n in range(flags.slots)],
    }
    ids = frozen.vocabulary.encode(TEXTS[0])
    active = np.ones(flags.slots, bool)
    times: dict[str, list[float]] = {name: [] for name in mixtures}
    for turn in range(3):  # In turn, as the machine's speed changes.
        # Another one is first each time.
        names = [*mixtures][turn:] + [*mixtures][:turn]
        for name in names:
            for slot, (one, row) in enumerate(mixtures[name]):
                engine.fill(slot, one, [*row, *ids], GREEDY)
            engine.step(active)
            for _ in range(flags.steps):
                start = time.perf_counter()
                engine.step(active)
                times[name].append(time.perf_counter() - start)
    bare = statistics.median(times["no prompt"])
    rows = []
    for name, found in times.items():
        median = statistics.median(found)
        rows.append([name, 1e3 * median, f"{median / bare:.3f}"])
    _say(f"\nA step of {flags.slots} slots, each with its next token:\n")
    _say(table(("prompts", "median ms", "of no prompt"), rows))


def _read_all(
    engine: SlotEngine, bank: Bank, first: int
) -> list[tuple[Ready, list[int]]]:
    """Reads all prompts, and says how long that took, for each kind by itself."""
    compiled, found = engine.compiled, []
    seconds: dict[str, list[float]] = {}
    for prompt in bank.prompts.values():
        start = time.perf_counter()
        soft = prefix(first, prompt.length).tolist()
        found.append((engine.read(prompt, soft[:-1]), soft[-1:]))
        kind = "keys and values" if prompt.deep else "soft tokens"
        seconds.setdefault(kind, []).append(time.perf_counter() - start)
    slots = found[0][0].held.slots
    size = slots.keys.nbytes + slots.values.nbytes
    rows = [
        [kind, len(times), 1e3 * statistics.median(times), 1e3 * max(times)]
        for kind, times in seconds.items()
    ]
    _say(
        f"\nLoading a prompt: {engine.compiled - compiled} programs compiled; each has "
        f"{size / 2**20:.2f} MiB of keys and values, with room for "
        f"{engine.prompt_room} tokens\n"
    )
    _say(table(("prompts of", "count", "median ms", "longest ms"), rows))
    return found


def load_server(
    flags: argparse.Namespace, bank: Bank, folder: Path
) -> dict[int, float]:
    """Loads a server; returns whole answers in a second by the number of clients."""
    asked = bank.asked(flags.requests)
    distinct = [*dict.fromkeys(asked)]
    offline = predict(bank.folder, bank.prompts, distinct, folder)
    tokens = flags.tokens
    sizes = [f"--slots={flags.slots}", f"--slot_tokens={flags.slot_tokens}"]
    words = command(bank.model, bank.folder, *sizes, f"--queue={_QUEUE}")
    with running([*words, f"--max_tokens={max(tokens, _MOST_TOKENS)}"]) as server:
        model = server.get("/v1/info")["model"]
        _say(f"\n{model} with {len(bank.prompts)} prompts, {flags.slots} slots:")
        _time_loading(server, bank)
        _time_loading(server, bank, beside=asked[0])
        compiled = server.get("/v1/info")["compiled"]
        loads = [ask_streams(server.url, asked, 1, tokens, offline)]
        alone = {each: answers[0].text for each, answers in loads[0].answers.items()}
        loads += [
            ask_streams(server.url, asked, together, tokens, alone)
            for together in TOGETHER[1:]
        ]
        # More than have slots and may wait.
        count = 2 * (flags.slots + _QUEUE)
        more = [asked[n % len(asked)] for n in range(count)]
        loads.append(ask_streams(server.url, more, len(more), tokens, alone))
        _say(
            f"\n{len(asked)} requests of {tokens} tokens; in the last row {count} at "
            f"once, more than {flags.slots} slots and a queue of {_QUEUE} take\n"
        )
        _say(table(HEADER, [load.cells for load in loads]))
        _tell_unlike(server, loads[0], loads[2], offline, tokens)
        now = server.get("/v1/info")["compiled"]
        _say(f"programs compiled by all that: {now - compiled}")
        if not flags.peft:
            return {}
        return {n: whole_answers(server.url, asked, n, tokens) for n in TOGETHER}


def _time_loading(server: Running, bank: Bank, *, beside: Asked | None = None) -> None:
    """Loads prompts again by HTTP, from their files to what can be asked.

    Where something is asked beside it, says too how long its tokens wait meanwhile.
    """
    compiled, seconds = server.get("/v1/info")["compiled"], []
    done, others = threading.Event(), None
    with ThreadPoolExecutor(1) as pool:
        if beside is not None:
            others = pool.submit(gaps_until, done, server.url, beside, _MOST_TOKENS)
        for name in [*bank.prompts][:: max(len(bank.prompts) // 8, 1)]:
            start = time.perf_counter()
            server.post("/v1/load_prompt", prompt_name=name)
            seconds.append(time.perf_counter() - start)
        done.set()
    now = server.get("/v1/info")["compiled"]
    _say(
        f"/v1/load_prompt: median {1e3 * statistics.median(seconds):.1f} ms, longest "
        f"{1e3 * max(seconds):.1f} ms, of {len(seconds)}; {now - compiled} compiled"
    )
    if others is not None and (gaps := others.result()):
        _say(
            f"beside an answer, whose tokens come {1e3 * statistics.median(gaps):.1f} "
            f"ms after each other, the slowest {1e3 * max(gaps):.1f} ms"
        )


def _tell_unlike(
    server: Running,
    alone: Load,
    mixed: Load,
    offline: Mapping[Asked, str],
    tokens: int,
) -> None:
    """Says how many answers are not those of predict, and whether tokens were tied."""
    for name, found in (("alone", alone), ("mixed", mixed)):
        unlike = [
            each
            for each, answers in found.answers.items()
            if any(one.text != offline[each] for one in answers)
        ]
        gaps = [likeliest_gap(server.url, each, tokens) for each in unlike]
        tied = sum(gap < _TIE for gap in gaps)
        _say(
            f"{name}: {len(found.answers) - len(unlike)} of {len(found.answers)} "
            f"texts are those of predict; of {len(unlike)} others, {tied} have a token "
            f"within {_TIE} nats of the next"
        )


def compare_with_peft(
    flags: argparse.Namespace,
    bank: Bank,
    folder: Path,
    rates: Mapping[int, float],
) -> None:
    """Asks the same of a loop that switches PEFT's adapters."""
    asked, rows = bank.asked(flags.requests), []
    with running(_theirs(bank, folder)) as server:
        # Ours has answered all of it before, too.
        whole_answers(server.url, asked, TOGETHER[0], flags.tokens)
        for together in TOGETHER:
            theirs = whole_answers(server.url, asked, together, flags.tokens)
            ours = rates[together]
            cells = (f"{x:.2f}" for x in (ours, theirs, ours / theirs))
            rows.append([together, *cells])
    _say("\nWhole answers a second:\n")
    _say(table(("together", "jaxprompt", "PEFT", "ratio"), rows))


def _theirs(bank: Bank, folder: Path) -> Sequence[str]:
    """Writes the model and its prompts as PEFT reads them."""
    backbone, params = load(bank.model)
    save(folder / "model", backbone, params)
    for file in bank.folder.iterdir():
        prompt, _ = load_prompt(file)
        adapter = folder / "adapters" / file.stem
        adapter.parent.mkdir(exist_ok=True)
        # PEFT's prefixes stand in front, and have no gates.
        plain = {
            site: dataclasses.replace(deep, in_front=True, gate=None)
            for site, deep in prompt.deep.items()
        }
        # All as prefixes: one model of PEFT's takes adapters of one kind alone.
        whole = dataclasses.replace(prompt, deep=plain)
        write_prefix(adapter, backbone, params, whole, str(folder / "model"))
    tool = str(Path(__file__).with_name("peft_server.py"))
    places = [f"--model={folder / 'model'}", f"--adapters={folder / 'adapters'}"]
    return [sys.executable, tool, *places]


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main()
