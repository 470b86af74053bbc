"""Times scoring here and in Hugging Face PEFT, in turn, in one process.

Both decode the same rows greedily with the same random T5 1.1 small, in float32, and
take the same number of steps a row. Needs the extra `parity`.

    python tools/bench_eval.py --data=superglue --vocabulary=t5

Three cases: a validation set with one prompt; with five prompts, as for an ensemble;
and rows of eight tasks, each with its own prompt. PEFT has one prompt at a time: it
switches adapters between the groups of rows that want the same. --data is a folder of
SuperGLUE's official files, --vocabulary one with T5's own.
"""

import argparse
import functools
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import torch
from side_by_side import OURS, THEIRS, alternate, peft_model
from small_t5 import SMALL, save_random

from jaxprompt.data.pipeline import Lengths, model_features, sample_rows, stack
from jaxprompt.data.rows import INPUTS, predict_rows, sorted_batches
from jaxprompt.data.task import load_task
from jaxprompt.data.vocabulary import load_vocabulary
from jaxprompt.evaluate.decode import greedy
from jaxprompt.models.backbone import load
from jaxprompt.prompts.init import init_prompt
from jaxprompt.prompts.prompt import stack as make_bank
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.report.table import table
from jaxprompt.shapes import Batch

TASKS = ("boolq", "cb", "copa", "multirc", "rte", "wic", "axb", "axg")
LENGTH = 2
"""Target tokens, decoded by both: a label word and the end."""


def read_rows(flags: argparse.Namespace, name: str, count: int) -> dict[str, Any]:
    """Tokenises rows of a validation split, without soft tokens."""
    vocabulary = load_vocabulary(flags.vocabulary)
    task = load_task(name, vocabulary=vocabulary, data_dir=flags.data)
    split = "test" if name in ("axb", "axg") else "validation"
    rows = sample_rows(task.num_examples(split), count)
    lengths = Lengths(flags.input_length, LENGTH)
    return stack(model_features(task, split, rows, lengths, np.zeros(0, np.int32)))


def prompted(rows: dict[str, Any], members: np.ndarray, length: int) -> dict[str, Any]:
    """Puts each row behind the soft tokens of its member."""
    soft = np.stack([prefix(SMALL.vocab_rows, length, member) for member in members])
    return {**rows, INPUTS: np.concatenate([soft, rows[INPUTS]], axis=1)}


def make_ours(folder: Path, members: int, length: int) -> Callable[..., None]:
    """Makes the pass of this project: rows and the member of each, all at once."""
    backbone, model = load(folder)
    draw = functools.partial(init_prompt, table=backbone.table(model), length=length)
    bank = make_bank(
        [draw(key) for key in jax.random.split(jax.random.key(0), members)]
    )
    params = {"model": model, "prompt": bank}
    decode = jax.jit(functools.partial(greedy, backbone, length=LENGTH))

    def predict(batch: Batch) -> np.ndarray:
        return np.asarray(decode(params, batch))

    def score(rows: dict[str, Any], of_rows: np.ndarray, batch_size: int) -> None:
        batches = sorted_batches(prompted(rows, of_rows, length), batch_size)
        predict_rows(predict, batches, len(of_rows))

    return score


def make_theirs(folder: Path, members: int, length: int) -> Callable[..., None]:
    """Makes PEFT's pass: each adapter in turn, its rows padded to the longest."""
    names = [f"member_{member}" for member in range(members)]
    model = peft_model(folder, length, names)
    model.eval()

    def score(rows: dict[str, Any], of_rows: np.ndarray, batch_size: int) -> None:
        for member, name in enumerate(names):
            own = rows[INPUTS][of_rows == member]
            if not len(own):
                continue
            model.set_adapter(name)
            for first in range(0, len(own), batch_size):
                text = own[first : first + batch_size]
                text = text[:, : int((text > 0).sum(axis=1).max())]
                ids = torch.tensor(text).long()
                with torch.no_grad():
                    model.generate(
                        input_ids=ids,
                        attention_mask=(ids > 0).long(),
                        max_new_tokens=LENGTH,
                        min_new_tokens=LENGTH,
                        num_beams=1,
                        do_sample=False,
                    )

    return score


def main() -> None:
    """Runs the three cases and prints a table for each."""
    parser = argparse.ArgumentParser(description="Time scoring here and in PEFT.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--task", default="rte")
    parser.add_argument("--examples", type=int, default=96)
    parser.add_argument("--input_length", type=int, default=512)
    parser.add_argument("--prompt_length", type=int, default=100)
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    flags = parser.parse_args()

    one = read_rows(flags, flags.task, flags.examples)
    count = len(one[INPUTS])
    parts = [read_rows(flags, name, count // len(TASKS)) for name in TASKS]
    mixed = {name: np.concatenate([part[name] for part in parts]) for name in one}
    owners = np.repeat(np.arange(len(TASKS)), [len(part[INPUTS]) for part in parts])
    shuffled = np.random.default_rng(0).permutation(len(owners))
    mixed = {name: x[shuffled] for name, x in mixed.items()}
    five = {name: np.concatenate([x] * 5) for name, x in one.items()}
    cases = {
        f"{flags.task}, one prompt": (one, np.zeros(count, int)),
        f"{flags.task}, five prompts": (five, np.repeat(np.arange(5), count)),
        "eight tasks, mixed": (mixed, owners[shuffled]),
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "t5"
        save_random(folder)
        score = {
            OURS: make_ours(folder, len(TASKS), flags.prompt_length),
            THEIRS: make_theirs(folder, len(TASKS), flags.prompt_length),
        }
        table_rows = []
        for name, (rows, of_rows) in cases.items():
            calls = {
                who: functools.partial(of_one, rows, of_rows, flags.batch_size)
                for who, of_one in score.items()
            }
            seconds = alternate(calls, flags.rounds)
            speeds = [len(of_rows) / statistics.median(seconds[w]) for w in score]
            table_rows.append([name, *speeds, f"{speeds[0] / speeds[1]:.2f}"])
    header = ["case", f"{OURS} ex/s", f"{THEIRS} ex/s", "ratio"]
    print(table(header, table_rows))


if __name__ == "__main__":
    main()
