"""Times a step of a deep prompt in the last layers, with and without kept states.

The prompt has a linear head of two classes beside it, as in P-Tuning v2. In one
process, in turn: keys and values in all layers; in the last ones alone; and the same by
states that the layers below have made of the rows beforehand. The losses of the last
two must be equal before anything is timed.

    python tools/bench_kept_states.py sentence-transformers/all-MiniLM-L6-v2 --last=2
"""

import argparse
import dataclasses
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.heads.labels import LabelsHead
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.config import SiteName
from jaxprompt.models.load import load
from jaxprompt.prompts.deep_start import DeepStart, init_deep
from jaxprompt.prompts.join import prompted_lower
from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.shapes import Batch, Params, unpacked_batch
from jaxprompt.train.optimizer import MASKS, adamw, train_only
from jaxprompt.train.step import init_state, make_train_step

TRAINS = "prompt+head"
ALL, LAST, KEPT = "all layers", "the last layers", "the last layers, by kept states"
WARMUPS = 2


def main() -> None:
    """Loads the model, and times the three steps."""
    parser = argparse.ArgumentParser(description="Time steps by kept states.")
    parser.add_argument("model", help="a Hub name or a Hugging Face folder")
    parser.add_argument("--last", type=int, default=2, help="layers with a prompt")
    parser.add_argument("--batch_size", type=int, default=16)
    parser.add_argument("--input_length", type=int, default=64)
    parser.add_argument("--prompt_length", type=int, default=20)
    parser.add_argument("--steps", type=int, default=15)
    flags = parser.parse_args()

    backbone, model = load(flags.model)
    head = LabelsHead("classes", 2)
    draw = np.random.default_rng(0)
    shape = (flags.batch_size, flags.input_length)
    ids = draw.integers(1000, backbone.vocab_rows - 1000, shape)
    batch = unpacked_batch(ids, draw.integers(1, 3, (flags.batch_size, 1)))
    batch = dataclasses.replace(batch, target_places=batch.targets * 0)
    weights = head.init(jax.random.key(0), backbone, model)

    def params_of(layers: str) -> Params:
        prompt = prompt_of(backbone, flags.prompt_length, layers)
        return {"model": model, "prompt": prompt, "head": weights}

    last = params_of(f"last:{flags.last}")
    lower = jax.jit(lambda params, rows: prompted_lower(backbone, params, rows))
    states = jax.block_until_ready(lower(last, batch))
    start = time.perf_counter()
    jax.block_until_ready(lower(last, batch))
    once = time.perf_counter() - start
    steps = {
        ALL: stepper(backbone, head, params_of(""), batch),
        LAST: stepper(backbone, head, last, batch),
        KEPT: stepper(backbone, head, last, dataclasses.replace(batch, lower=states)),
    }
    losses = {name: step()[1] for name, step in steps.items()}
    if not np.isclose(losses[LAST], losses[KEPT], rtol=1e-4):
        raise SystemExit(f"the losses differ, so nothing is timed: {losses}")
    times: dict[str, list[float]] = {name: [] for name in steps}
    for number in range(WARMUPS + flags.steps):
        for name, step in steps.items():
            seconds, _ = step()
            if number >= WARMUPS:
                times[name].append(seconds)
    medians = {name: statistics.median(found) for name, found in times.items()}
    for name, found in times.items():
        print(
            f"{name}: {medians[name]:.4f} s a step ({min(found):.4f} to "
            f"{max(found):.4f}), {medians[name] / medians[ALL]:.2f} of all layers, "
            f"{medians[name] / medians[LAST]:.2f} of the last"
        )
    size = states.inputs.nbytes / ids.size
    print(
        f"read once: {once:.4f} s a batch, {size:.0f} bytes a token; load of the "
        f"machine: {os.getloadavg()[0]:.1f}"
    )


def prompt_of(backbone: Backbone, length: int, layers: str) -> Prompt:
    """Draws keys and values for the site that a head reads."""
    sites = backbone.config.sites
    site: SiteName = "encoder" if "encoder" in sites else "decoder"
    start = DeepStart(lengths={site: length}, layers=layers or (), stddev=1.0)
    deep = init_deep(jax.random.key(1), sites, backbone.config.heads, start, None)
    return make_prompt(jnp.zeros((0, backbone.width)), deep)


def stepper(
    backbone: Backbone, head: LabelsHead, params: Params, batch: Batch
) -> Callable[[], tuple[float, float]]:
    """Compiles a step; each call takes one, and returns its seconds and its loss."""
    mask = MASKS[TRAINS]
    tx = train_only(adamw(1e-3), mask)
    state, frozen = init_state(params, tx, mask)
    step = make_train_step(backbone, tx, freeze=mask, head=head, z_loss=0.0)
    kept: dict[str, Any] = {"state": state}

    def take() -> tuple[float, float]:
        start = time.perf_counter()
        kept["state"], metrics = step(kept["state"], frozen, batch)
        found = float(metrics["loss"])
        return time.perf_counter() - start, found

    return take


if __name__ == "__main__":
    main()
