"""embed: the one place in the project where a prompt meets a model."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.backbone import Backbone
from jaxprompt.models.quantise import Table, look_up
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Batch, Params


def embed(
    table: Table, prompt: Prompt, ids: Int[Array, "B T"]
) -> Float[Array, "B T D"]:
    """Looks ids up in the frozen table and, from V on, in the prompt behind it.

    This is the concatenation of the two, [V + M*P, D], done as one gather from each
    side, so that a table sharded over devices is never copied. The gradient reaches
    the prompt's rows through its own gather only.

    Args:
        table: Frozen embeddings. An int8 table is float32 where it is read.
        prompt: Soft tokens, the rows behind the table.
        ids: Token ids, from 0 to V + M*P - 1. Larger ids read the last prompt row.

    Returns:
        Embeddings in the dtype of the table.

    Raises:
        ValueError: If the prompt is not as wide as the table.
    """
    num_rows, width = table.shape
    if prompt.width != width:
        raise ValueError(
            f"prompt width {prompt.width} != model width {width}: this prompt was made "
            "for another model"
        )
    frozen = look_up(table, jnp.minimum(ids, num_rows - 1))
    if prompt.length == 0:
        return frozen
    rows = prompt.rows.reshape(-1, width).astype(frozen.dtype)
    soft = rows[jnp.clip(ids - num_rows, 0, rows.shape[0] - 1)]
    return jnp.where((ids >= num_rows)[..., None], soft, frozen)


def prompted_encode(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    dropout_key: jax.Array | None = None,
) -> Float[Array, "B T D"]:
    """Runs the encoder over a batch whose inputs may hold soft tokens.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows to encode.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        Encoder states, in the model's compute dtype.
    """
    x = embed(backbone.table(params["model"]), params["prompt"], batch.inputs)
    return backbone.encode(
        params["model"], x, batch.input_segments, dropout_key=dropout_key
    )


def prompted_logits(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    dropout_key: jax.Array | None = None,
) -> Float[Array, "B L V"]:
    """Scores every next target token of a batch, by teacher forcing.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows to score.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        Logits over the V rows of the frozen table, float32.
    """
    table = backbone.table(params["model"])
    return backbone.logits(
        params["model"],
        embed(table, params["prompt"], batch.inputs),
        batch.input_segments,
        embed(table, params["prompt"], batch.target_inputs),
        batch.target_segments,
        dropout_key=dropout_key,
    )
