"""Answers in words, by the model's own output: the head that has no weights."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.heads.head import Losses, losses_of
from jaxprompt.models.backbone import Backbone, writer_of
from jaxprompt.prompts.join import prompted_target_states
from jaxprompt.shapes import Batch, Params

MOST_LOGITS = 2**26
"""Scores of all targets that a device holds at once, 256 MiB, of which a step has some
copies. More are computed in chunks, and once more for their gradient."""

CHUNK_LOGITS = 2**24
"""Scores of a chunk."""


@dataclasses.dataclass(frozen=True)
class WordsHead:
    """The next token of a text, scored over the V rows of the frozen table."""

    name: str = "words"

    def init(self, key: jax.Array, backbone: Backbone, model: Params) -> Params:
        """Returns {}: the frozen model writes words by itself."""
        del key, backbone, model
        return {}

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores every target token by teacher forcing.

        Where targets are long and the vocabulary is large, their scores are what fills
        the memory. Then a few columns of targets are scored at a time, and once more in
        the backward pass, with the same losses.
        """
        y_BLD = prompted_target_states(backbone, params, batch, dropout_key=dropout_key)
        columns = columns_at_once(backbone, *batch.targets.shape)

        def of_columns(y: Float[Array, "B C D"], targets: Int[Array, "B C"]) -> Losses:
            logits_BCV = writer_of(backbone).unembed(params["model"], y)
            return losses_of(logits_BCV, targets)

        if columns == batch.targets.shape[1]:
            return of_columns(y_BLD, batch.targets)
        return _in_chunks(jax.checkpoint(of_columns), y_BLD, batch.targets, columns)


def columns_at_once(backbone: Backbone, rows: int, length: int) -> int:
    """Returns how many of the columns of targets are scored at once.

    Args:
        backbone: The frozen model's functions; its devices share the scores.
        rows: Rows B of a batch.
        length: Target tokens L of a row.
    """
    devices = 1 if backbone.mesh is None else backbone.mesh.size
    of_column = math.ceil(rows * backbone.vocab_rows / devices)
    if length * of_column <= MOST_LOGITS:
        return length
    chunks = math.ceil(length / max(CHUNK_LOGITS // of_column, 1))
    return math.ceil(length / chunks)


def _in_chunks(
    of_columns: Callable[[Array, Array], Losses],
    y_BLD: Array,
    targets_BL: Array,
    columns: int,
) -> Losses:
    """Scores some columns after the others; the last ones are filled up."""
    rows, length = targets_BL.shape
    count = math.ceil(length / columns)
    more = count * columns - length
    y = jnp.pad(y_BLD, ((0, 0), (0, more), (0, 0)))
    targets = jnp.pad(targets_BL, ((0, 0), (0, more)))
    parts = (
        y.reshape(rows, count, columns, -1).swapaxes(0, 1),
        targets.reshape(rows, count, columns).swapaxes(0, 1),
    )
    found = jax.lax.map(lambda part: of_columns(*part), parts)
    return jax.tree.map(lambda x: x.swapaxes(0, 1).reshape(rows, -1)[:, :length], found)


WORDS = WordsHead()
