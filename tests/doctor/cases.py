"""A tiny random T5 with the nano's vocabulary, a prompt, and rows to check it with."""

import dataclasses

import jax
import numpy as np
from tiny import CONFIG, make_tiny, take_lead

from jaxprompt.bundled import resolve
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.doctor.case import Case
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.quantise import quantise
from jaxprompt.models.t5.model import T5
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch

ROWS, LENGTH = 8, 3
VOCABULARY = load_vocabulary(resolve("bundled:nano"))
VOCAB_ROWS = VOCABULARY.vocab_size
_SMALL = make_tiny(dataclasses.replace(CONFIG, vocab_rows=VOCAB_ROWS))
# Words of about a trained T5's lengths: rates are in proportion to these.
_TABLE = _SMALL.model["embedding"] * VOCAB_ROWS**0.5
TINY = dataclasses.replace(_SMALL, model={**_SMALL.model, "embedding": _TABLE})
WORDS = np.asarray(TINY.model["embedding"])[10:]


def make_case(
    backbone: T5 = TINY.backbone,
    rows: np.ndarray = WORDS[:LENGTH],
    *,
    int8: bool = False,
) -> Case:
    """Puts a prompt of these rows before texts of uneven lengths."""
    draw = np.random.default_rng(0)
    texts = np.full((ROWS, 12), NO_TOKEN, np.int32)
    for text, size in zip(texts, draw.integers(3, 12, ROWS), strict=True):
        text[:size] = draw.integers(3, 5000, size)
        text[size] = 1
    soft = np.tile(prefix(VOCAB_ROWS, len(rows)), (ROWS, 1))
    targets = np.tile(np.array([7, 1, *[NO_TOKEN] * 6], np.int32), (ROWS, 1))
    targets[: ROWS // 2, 0] = 8
    batches = [
        jax.tree.map(np.asarray, unpacked_batch(inputs, targets))
        for inputs in (
            np.concatenate([soft, texts], axis=1),
            np.pad(texts, ((0, 0), (0, len(rows))), constant_values=NO_TOKEN),
        )
    ]
    model = quantise(TINY.model) if int8 else TINY.model
    return Case(
        backbone=backbone,
        vocabulary=VOCABULARY,
        prompt=make_prompt(rows),
        rows=batches[0],
        plain=batches[1],
        join=lambda prompt: {"model": model, "prompt": prompt},
        place=jax.device_put,
    )


def make_causal_case(kind: type[Decoder]) -> Case:
    """Puts a prompt before texts of one length, for a GPT-2 of random weights."""
    config = GPT2Config(
        vocab_size=90, width=16, heads=2, ffn_width=32, layers=2, positions=64
    )
    backbone = kind(config)
    model = jax.jit(backbone.init)(jax.random.key(0))
    model = jax.tree.map(lambda weights: 10 * weights, model)
    draw = np.random.default_rng(0)
    texts = draw.integers(3, 90, (ROWS, 12)).astype(np.int32)
    targets = draw.integers(3, 90, (ROWS, 4)).astype(np.int32)

    def batch(soft: int) -> Batch:
        """Moves the last token of the text to the front of the targets' inputs."""
        ids = np.tile(prefix(backbone.vocab_rows, soft), (ROWS, 1))
        inputs = np.concatenate([ids, texts[:, :-1]], axis=1)
        made = jax.tree.map(np.asarray, unpacked_batch(inputs, targets))
        starts = np.concatenate([texts[:, -1:], targets[:, :-1]], axis=1)
        return dataclasses.replace(made, target_inputs=starts)

    return Case(
        backbone=backbone,
        vocabulary=VOCABULARY,
        prompt=make_prompt(model["embedding"][10 : 10 + LENGTH]),
        rows=batch(LENGTH),
        plain=batch(0),
        join=lambda prompt: {"model": model, "prompt": prompt},
        place=jax.device_put,
        folded=take_lead(batch(LENGTH), LENGTH - 1),
    )
