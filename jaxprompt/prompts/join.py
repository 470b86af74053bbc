"""embed: the one place in the project where a prompt meets a model."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.models.backbone import Backbone
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.quantise import Table, look_up
from jaxprompt.prompts import soft_ids
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


def row_prompt(backbone: Backbone, prompt: Prompt) -> Prompt:
    """Returns the part of a bank whose tokens stand in rows, as ids.

    All of it, or where the backbone folds prompts, each member's last token: it
    predicts the first word of a row, and says which member the row is behind. The
    tokens before it are the same for every row and become a prefix.
    """
    return Prompt(prompt.rows[:, -1:]) if backbone.folds else prompt


def row_ids(backbone: Backbone, length: int, member: int = 0) -> Int[np.ndarray, " P"]:
    """Returns the ids that stand for a member's prompt in a row; see `row_prompt`.

    Args:
        backbone: The frozen model's functions.
        length: Prompt length P, in tokens; 0 for no prompt.
        member: Member m of the bank, from 0.

    Returns:
        int32 ids: P of them, or where the backbone folds prompts one (none for P = 0).
    """
    in_row = min(length, 1) if backbone.folds else length
    return soft_ids.prefix(backbone.vocab_rows, in_row, member)


def fold(backbone: Backbone, params: Params, batch: Batch) -> Prefix | None:
    """Computes the prefix that a batch's rows attend to, once for all of them.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows of one member each, which begin with its soft token if the prompt
            is not empty.

    Returns:
        Keys and values of all soft tokens but the last; None where the backbone does
        not fold, or there are none.
    """
    prompt = params["prompt"]
    if not backbone.folds or prompt.length < 2:
        return None
    keys, values = backbone.fold(params["model"], prompt.rows[:, :-1])
    # Where the text is empty, the soft token is what the target follows on.
    first_B = jnp.maximum(batch.inputs[:, 0], batch.target_inputs[:, 0])
    member_B = jnp.clip(first_B - backbone.vocab_rows, 0, prompt.members - 1)
    return Prefix(keys, values, member_B)


def prompted_encode(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    prefix: Prefix | None = None,
    dropout_key: jax.Array | None = None,
) -> Any:
    """Reads the inputs of a batch, which may hold soft tokens.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree {"model": ..., "prompt": ...}.
        batch: Rows to encode.
        prefix: From `fold`; `decode` and `start_cache` need the same one.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        What the backbone's `decode` reads of the inputs: an encoder's states, or a
        decoder's keys and values.
    """
    soft = row_prompt(backbone, params["prompt"])
    x = embed(backbone.table(params["model"]), soft, batch.inputs)
    return backbone.encode(
        params["model"],
        x,
        batch.input_segments,
        prefix=prefix,
        dropout_key=dropout_key,
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
    soft = row_prompt(backbone, params["prompt"])
    return backbone.logits(
        params["model"],
        embed(table, soft, batch.inputs),
        batch.input_segments,
        embed(table, soft, batch.target_inputs),
        batch.target_segments,
        prefix=fold(backbone, params, batch),
        dropout_key=dropout_key,
    )
