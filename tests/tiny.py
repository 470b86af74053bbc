"""A random T5 of a few thousand weights, and random examples laid out as batches."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from jaxprompt.bundled import resolve
from jaxprompt.models.load import with_fingerprint
from jaxprompt.models.t5.config import T5Config
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.prompt import Prompt, make_prompt, stack
from jaxprompt.shapes import Batch, Params

VOCAB_ROWS, WIDTH, LENGTH = 64, 16, 3
INPUTS, TARGETS = 10, 5
"""Room for tokens in a row that holds one example, its soft tokens included."""

CONFIG = T5Config(
    vocab_rows=VOCAB_ROWS,
    width=WIDTH,
    heads=8,
    head_width=4,
    ffn_width=24,
    encoder_layers=1,
    decoder_layers=1,
    gated=True,
    activation="gelu_new",
    tied=False,
    scaled_logits=False,
)


@dataclasses.dataclass(frozen=True, eq=False)
class Tiny:
    """A frozen model of random weights."""

    backbone: T5
    model: Params

    def join(self, prompt: Prompt) -> Params:
        return {"model": self.model, "prompt": prompt}


@dataclasses.dataclass(frozen=True)
class Example:
    """Token ids without padding, and the member of the bank that the row is of."""

    inputs: np.ndarray
    targets: np.ndarray
    member: int = 0


def make_tiny(config: T5Config = CONFIG) -> Tiny:
    """Draws weights by NumPy, which compiles nothing."""
    backbone, draw = T5(config), np.random.default_rng(0)

    def weights(leaf: jax.ShapeDtypeStruct) -> jax.Array:
        scale = leaf.shape[-2] ** -0.5 if leaf.ndim > 1 else 1.0
        return jnp.asarray(draw.normal(0.0, scale, leaf.shape), leaf.dtype)

    model = jax.tree.map(weights, jax.eval_shape(backbone.init, jax.random.key(0)))
    return Tiny(with_fingerprint(backbone, model), model)


def save_tiny(folder: Path) -> None:
    """Writes a random T5 of the nano's vocabulary, which is quick to compile."""
    tiny = make_tiny(dataclasses.replace(CONFIG, vocab_rows=6144))
    pieces = str(Path(resolve("bundled:nano")) / "spiece.model")
    save(folder, dataclasses.replace(tiny.backbone, vocabulary=pieces), tiny.model)


def draw_prompt(seed: int, members: int = 1, length: int = LENGTH) -> Prompt:
    keys = jax.random.split(jax.random.key(seed), members)
    return stack([make_prompt(jax.random.normal(k, (length, WIDTH))) for k in keys])


def draw_examples(
    seed: int, count: int, member: int = 0, length: int = LENGTH
) -> list[Example]:
    """Draws examples of uneven lengths, each behind soft tokens."""
    draw = np.random.default_rng(seed)
    soft = VOCAB_ROWS + np.arange(length)
    examples = []
    for _ in range(count):
        text = draw.integers(2, VOCAB_ROWS, draw.integers(1, INPUTS - length + 1))
        target = draw.integers(2, VOCAB_ROWS, draw.integers(1, TARGETS))
        examples.append(Example(np.append(soft, text), np.append(target, 1), member))
    return examples


def to_batch(
    rows: Sequence[Sequence[Example]], inputs: int = INPUTS, targets: int = TARGETS
) -> Batch:
    """Lays each row's examples out one behind the other, padding behind them.

    The examples of a row are of one member; an empty row is of the first.
    """
    source = {name: np.zeros((len(rows), inputs), np.int32) for name in ("ids", "of")}
    target = {
        name: np.zeros((len(rows), targets), np.int32) for name in ("ids", "of", "read")
    }
    members = np.zeros(len(rows), np.int32)
    for b, examples in enumerate(rows):
        if examples:
            (members[b],) = {example.member for example in examples}
        t = last = 0
        for number, example in enumerate(examples, start=1):
            span = slice(t, t + example.inputs.size)
            source["ids"][b, span], source["of"][b, span] = example.inputs, number
            t = span.stop
            span = slice(last, last + example.targets.size)
            target["ids"][b, span], target["of"][b, span] = example.targets, number
            target["read"][b, span.start + 1 : span.stop] = example.targets[:-1]
            last = span.stop
    return Batch(
        inputs=source["ids"],
        input_segments=source["of"],
        targets=target["ids"],
        target_inputs=target["read"],
        target_segments=target["of"],
        weights=(target["of"] > 0).astype(np.float32),
        members=members,
    )


def one_each(examples: Sequence[Example], inputs: int = INPUTS) -> Batch:
    """Gives every example a row of its own."""
    return to_batch([[example] for example in examples], inputs)


def take_lead(batch: Batch, count: int) -> Batch:
    """Moves the tokens that all rows begin with out of the rows, into the lead."""
    lead = np.asarray(batch.inputs)[0, :count]
    return dataclasses.replace(
        batch,
        inputs=batch.inputs[:, count:],
        input_segments=batch.input_segments[:, count:],
        lead=tuple(lead.tolist()),
    )
