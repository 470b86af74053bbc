"""Checks on a device what must hold on it exactly: logits, folding, resuming."""

import functools
import importlib.util
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from findings import Check, Finding, Skipped
from registry import MODELS, PROMPTS, draw_pairs, draw_weights, make_batch, shrunk

from jaxprompt.data.rows.position import Position
from jaxprompt.data.vocabulary.tokens import Pair
from jaxprompt.models.attention_form import (
    AttentionForm,
    Needs,
    choose_form,
    device_of,
)
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.families import family_of, make_backbone
from jaxprompt.models.layers.attention import Part, attend
from jaxprompt.models.layers.masks import segment_mask
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.shapes import Batch, Params
from jaxprompt.train.checkpoint import Checkpoints
from jaxprompt.train.loop import Positions, fit
from jaxprompt.train.optimizer import adafactor, train_only
from jaxprompt.train.pace import Pace
from jaxprompt.train.step import TrainState, init_state, make_train_step

TOLERANCE = 1e-4
"""Largest difference of float32 logits."""

ROUNDING = 2e-2
"""Largest difference in bfloat16, in parts of the largest number."""

_PROMPT, _STEPS = 4, 6

_HEAD_WIDTH, _LONG_ROW = 128, 2304


def check_logits(models: Sequence[str]) -> Iterator[Finding]:
    """Compares float32 logits: with PyTorch's, and folded with unfolded."""
    missing = [
        name
        for name in ("torch", "transformers")
        if importlib.util.find_spec(name) is None
    ]
    if missing:
        yield Skipped("logits against PyTorch", f"{', '.join(missing)} not installed")
    for model in models:
        backbone = make_backbone(shrunk(MODELS[model]))
        params = {
            "model": draw_weights(backbone),
            "prompt": PROMPTS["prompt"](backbone, _PROMPT),
        }
        pairs = _uneven(backbone)
        exact = _logits(backbone, params, pairs, "highest")
        if not missing:
            theirs = _pytorch_logits(backbone, params, pairs)
            usual = _logits(backbone, params, pairs, None)
            error, by_default = (_largest(x, theirs) for x in (exact, usual))
            yield Check(
                f"float32 logits are PyTorch's within {TOLERANCE:.0e}",
                model,
                error <= TOLERANCE,
                f"{error:.0e} with precision highest, {by_default:.0e} by default",
            )
        if backbone.causal:
            whole = _logits(backbone, params, pairs, "highest", folds=False)
            error = _largest(exact, whole)
            yield Check(
                f"folded logits are the unfolded within {TOLERANCE:.0e}",
                model,
                error <= TOLERANCE,
                f"{error:.0e} with precision highest",
            )


def check_attention() -> Iterator[Finding]:
    """Compares the form of attention that this device takes with the plain one.

    With the heads of Llama 3, a long row, in bfloat16; what is mixed, and gradients.
    """
    device = device_of(jax.devices()[0])
    needs = Needs(_HEAD_WIDTH)
    form = choose_form("auto", needs, dtype="bfloat16", device=device)
    found, expected = (_attended(one, _LONG_ROW) for one in (form, "plain"))
    pairs = zip(found, expected, strict=True)
    error = max(_largest([x], [y]) / float(np.abs(y).max()) for x, y in pairs)
    yield Check(
        f"{form} attention is the plain form's within {ROUNDING:.0e}",
        "Llama 3's heads",
        error <= ROUNDING,
        f"{error:.0e} of the largest, in bfloat16, over {_LONG_ROW} tokens",
    )


def _attended(form: AttentionForm, length: int) -> list[np.ndarray]:
    """Returns what a row's tokens attend to, and gradients of queries and keys."""
    shapes = [(1, length, heads, _HEAD_WIDTH) for heads in (4, 1, 1)]
    rng = np.random.default_rng(0)
    given = [jnp.asarray(rng.normal(size=shape), jnp.bfloat16) for shape in shapes]
    segments = np.ones((1, length), np.int32)
    segments[:, length // 2 : length // 2 + 9] = 0  # Padding, not at an end.
    mask = segment_mask(jnp.asarray(segments), jnp.asarray(segments), causal=True)
    real = jnp.asarray(segments)[:, :, None, None]

    def loss(queries: jax.Array, keys: jax.Array, values: jax.Array) -> Any:
        parts = [Part(keys, values, mask)]
        mixed = attend(queries, parts, scale=_HEAD_WIDTH**-0.5, form=form)
        mixed = mixed.astype(jnp.float32) * real
        return jnp.square(mixed).sum(), mixed

    gradients = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    (of_queries, of_keys, _), mixed = gradients(*given)
    return [np.asarray(x, np.float32) for x in (mixed, of_queries, of_keys)]


def _uneven(backbone: Backbone) -> list[Pair]:
    """Draws rows of three lengths: padding is part of what is compared."""
    pairs = draw_pairs(backbone.config, 3, 14, 5)
    return [
        Pair(pair.inputs[: 14 - 4 * row], pair.targets[: 5 - row])
        for row, pair in enumerate(pairs)
    ]


def _logits(
    backbone: Backbone,
    params: Params,
    pairs: list[Pair],
    precision: str | None,
    *,
    folds: bool = True,
) -> list[np.ndarray]:
    """Scores the targets of each row: [L, V] without padding."""
    batch = make_batch(backbone, pairs, _PROMPT, extra=2, folds=folds)
    with jax.default_matmul_precision(precision):
        found = jax.jit(functools.partial(prompted_logits, backbone))(params, batch)
    rows = [row[: len(pair.targets)] for row, pair in zip(found, pairs, strict=True)]
    # The table may have rows that no id names.
    return [np.asarray(row)[:, : backbone.config.text_rows] for row in rows]


def _pytorch_logits(
    backbone: Backbone, params: Params, pairs: list[Pair]
) -> list[np.ndarray]:
    """Does the same in PyTorch on the CPU, with the prompt as embedded tokens."""
    import torch
    import transformers

    auto_class = family_of(backbone.config).hugging_face.auto_class
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        save(folder, backbone, params["model"])
        model = getattr(transformers, auto_class).from_pretrained(
            folder, dtype=torch.float32
        )
    model.eval()
    prompt = torch.tensor(np.asarray(params["prompt"].rows))
    table = model.get_input_embeddings().weight

    def scores(pair: Pair) -> np.ndarray:
        ids = (pair.inputs, pair.targets)
        text, targets = (torch.tensor(side).long() for side in ids)
        if not backbone.causal:
            read = torch.cat([torch.zeros(1).long(), targets[:-1]])
            source = torch.cat([prompt, table[text][None]], dim=1)
            found = model(inputs_embeds=source, decoder_input_ids=read[None])
            return found.logits[0].numpy()
        row = torch.cat([text, targets])
        found = model(inputs_embeds=torch.cat([prompt, table[row][None]], dim=1))
        # The token before each target predicts it.
        return found.logits[0, -len(targets) - 1 : -1].numpy()

    with torch.no_grad():
        return [scores(pair) for pair in pairs]


def _largest(ones: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> float:
    pairs = zip(ones, others, strict=True)
    return max(float(np.abs(one - other).max()) for one, other in pairs)


def check_resuming(models: Sequence[str], flags: str = "") -> Iterator[Finding]:
    """Trains prompts to the end: at once, at once again, and saved and resumed.

    Args:
        models: Names in the registry.
        flags: For XLA_FLAGS, besides those that are set.
    """
    if flags:  # Before XLA is first used in this process.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".lstrip()
    how = f" with {flags}" if flags else ""
    for model in models:
        training = _Training(make_backbone(shrunk(MODELS[model]), dtype="bfloat16"))
        whole = training.run(_STEPS)
        found = _difference(whole, training.run(_STEPS))
        name = f"trained twice, the same bits{how}"
        yield Check(name, model, not found, found or "the same")
        with tempfile.TemporaryDirectory() as scratch:
            training.run(_STEPS // 2, Path(scratch))
            resumed = training.run(_STEPS, Path(scratch))
        found = _difference(whole, resumed)
        name = f"resumed as unbroken, bit for bit{how}"
        yield Check(name, model, not found, found or "the same")


class _Training:
    """Prompt tuning of random weights on random rows, by the project's own loop."""

    def __init__(self, backbone: Backbone):
        self._backbone = backbone
        self._tx = train_only(adafactor(0.3))
        self._step = make_train_step(backbone, self._tx)
        self._params = {
            "model": draw_weights(backbone),
            "prompt": PROMPTS["prompt"](backbone, _PROMPT),
        }
        pairs = draw_pairs(backbone.config, 8 * _STEPS, 24, 6)
        self._batches = [
            make_batch(backbone, pairs[first : first + 8], _PROMPT)
            for first in range(0, len(pairs), 8)
        ]

    def run(self, steps: int, folder: Path | None = None) -> TrainState:
        """Trains until after a step; from the last checkpoint, if there is one."""
        state, frozen = init_state(self._params, self._tx)
        progress, checkpoints = None, None
        if folder is not None:
            checkpoints = Checkpoints(folder)
            saved = checkpoints.latest(state)
            if saved is not None:
                state, progress = saved
        state, _ = fit(
            state,
            frozen,
            self._step,
            self._stream,
            Pace(steps=steps),
            batch_size=8,
            progress=progress,
            checkpoints=checkpoints,
            show_bar=False,
        )
        if checkpoints is not None:
            checkpoints.close()
        return state

    def _stream(self, positions: Positions) -> Iterator[tuple[Batch, Positions]]:
        for number in range(positions[0].batch, _STEPS):
            yield self._batches[number], (Position(0, number + 1),)


def _difference(one: TrainState, other: TrainState) -> str:
    """Says how two states differ; empty if they do not in any bit."""
    pairs: list[tuple[Any, Any]] = list(
        zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    )
    arrays = [(np.asarray(a), np.asarray(b)) for a, b in pairs]
    differing = sum(int(np.sum(a != b)) for a, b in arrays)
    if not differing:
        return ""
    largest = max(float(np.abs(a - b).max(initial=0)) for a, b in arrays)
    total = sum(a.size for a, _ in arrays)
    return f"{differing} of {total} values differ, at most by {largest:.0e}"
