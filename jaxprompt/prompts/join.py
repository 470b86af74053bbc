"""The one place in the project where a prompt meets a model: its rows, its keys."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.models.backbone import Backbone, writer_of
from jaxprompt.models.config import SiteName
from jaxprompt.models.prefix import Prefix, Prefixes, dropped
from jaxprompt.models.quantise import Table, look_up
from jaxprompt.models.tokens import Tokens
from jaxprompt.prompts.prompt import Deep, Prompt
from jaxprompt.shapes import Batch, LowerStates, Params


def embed(
    table: Table, prompt: Prompt, ids: Int[Array, "B T"], members: Int[Array, " B"]
) -> Float[Array, "B T D"]:
    """Looks ids up in the frozen table and, from V on, in the prompt behind it.

    For a row of member m this is the table with that member's prompt below it,
    [V + P, D], done as one gather from each side, so that a table sharded over devices
    is never copied. The gradient reaches the prompt's rows through its own gather only.

    Args:
        table: Frozen embeddings. An int8 table is float32 where it is read.
        prompt: Soft tokens of M members.
        ids: Token ids, from 0 to V + P - 1. Larger ids read the last prompt row.
        members: Member that each row of ids is of, from 0 to M - 1.

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
    places = jnp.clip(ids - num_rows, 0, prompt.length - 1)
    soft = rows[members[:, None] * prompt.length + places]
    return jnp.where((ids >= num_rows)[..., None], soft, frozen)


def prompted_embed(
    backbone: Backbone,
    params: Params,
    ids: Int[Array, "B T"],
    members: Int[Array, " B"],
) -> Float[Array, "B T D"]:
    """Embeds ids that may hold soft tokens, those of `soft_ids.prefix`.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        ids: Token ids.
        members: Member that each row is of, from 0 to M - 1.

    Returns:
        Embeddings in the dtype of the frozen table.
    """
    prompt = Prompt(params["prompt"].rows)
    return embed(backbone.table(params["model"]), prompt, ids, members)


def prefixes(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    dropout_key: jax.Array | None = None,
) -> Prefixes:
    """Makes what a batch's rows attend to besides their tokens, once for all of them.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows, each of the member that it names.
        dropout_key: As of `prompted_logits`; for prompts whose own numbers are dropped.

    Returns:
        The prompt's keys and values at each site, and those of the batch's lead.

    Raises:
        ValueError: If there are both at one site.
    """
    prompt = folded(backbone, params, batch.lead)["prompt"]
    made: Prefixes = {
        site: _prefix(deep, batch.members) for site, deep in prompt.deep.items()
    }
    if dropout_key is None:
        return made
    rates = {site: deep.dropout for site, deep in prompt.deep.items()}
    return dropped(made, rates, dropout_key)


def folded(backbone: Backbone, params: Params, lead: Sequence[int]) -> Params:
    """Reads a lead once, for many batches of it.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        lead: Ids that stand in front of every row; see `shapes.Batch.lead`.

    Returns:
        A tree behind which rows without a lead score as rows behind the lead do behind
        the first: its prompt has the keys and values of the lead, in front. The same
        tree, where the lead is empty.

    Raises:
        ValueError: If the prompt has other keys and values there.
    """
    if not lead:
        return params
    prompt = params["prompt"]
    if "decoder" in prompt.deep:
        raise ValueError(
            f"a prompt of {prompt.told} for {backbone.name}: tokens in front of other "
            "keys and values are not read once for all rows, so lay rows out with all "
            "of their tokens, by Lengths(folds=False)"
        )
    # Words are the same for every member.
    has_soft = max(lead) >= backbone.vocab_rows
    members = jnp.arange(prompt.members if has_soft else 1)
    ids = jnp.broadcast_to(jnp.array(lead), (len(members), len(lead)))
    x = prompted_embed(backbone, params, ids, members)
    found = backbone.keys_values(params["model"], x)["decoder"]
    # In float32, as the gradients of several batches add up in it.
    keys, values = (part.swapaxes(0, 1).astype(jnp.float32) for part in found)
    deep: dict[SiteName, Deep] = {
        **prompt.deep,
        "decoder": Deep(keys, values, in_front=True),
    }
    return {**params, "prompt": dataclasses.replace(prompt, deep=deep)}


def _prefix(deep: Deep, members: Int[Array, " B"]) -> Prefix:
    """Puts the layers of a site in front, for a loop over them."""
    return Prefix(
        deep.keys.swapaxes(0, 1),
        deep.values.swapaxes(0, 1),
        members,
        gate=None if deep.gate is None else deep.gate.swapaxes(0, 1),
        layers=deep.layers,
        in_front=deep.in_front,
    )


def prompted_encode(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    dropout_key: jax.Array | None = None,
) -> Any:
    """Reads the inputs of a batch, which may hold soft tokens.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows to encode.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        What the backbone's `decode` and `start_cache` read of the inputs, the prompt's
        keys and values among it.
    """
    return writer_of(backbone).encode(
        params["model"],
        _source(backbone, params, batch),
        prefix=prefixes(backbone, params, batch),
        dropout_key=dropout_key,
    )


def prompted_states(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    dropout_key: jax.Array | None = None,
) -> Float[Array, "B T D"]:
    """Reads the inputs of a batch, for a head.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows to read; targets are not.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        What the model's last layer makes of each input token.
    """
    return backbone.states(
        params["model"],
        _source(backbone, params, batch),
        prefix=prefixes(backbone, params, batch, dropout_key=dropout_key),
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
        params: The joined tree; see `shapes.Params`.
        batch: Rows to score.
        dropout_key: Typed PRNG key, or M of them for M equal groups of rows; no
            dropout without it.

    Returns:
        Logits over the V rows of the frozen table, float32.
    """
    return writer_of(backbone).logits(
        params["model"],
        _source(backbone, params, batch),
        _target(backbone, params, batch),
        prefix=prefixes(backbone, params, batch, dropout_key=dropout_key),
        dropout_key=dropout_key,
    )


def prompted_target_states(
    backbone: Backbone,
    params: Params,
    batch: Batch,
    *,
    dropout_key: jax.Array | None = None,
) -> Float[Array, "B L D"]:
    """Reads a batch with its targets, and scores nothing.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`.
        batch: Rows to read.
        dropout_key: As of `prompted_logits`.

    Returns:
        What the last layer makes of each target token, for `Writer.unembed`.
    """
    return writer_of(backbone).target_states(
        params["model"],
        _source(backbone, params, batch),
        _target(backbone, params, batch),
        prefix=prefixes(backbone, params, batch, dropout_key=dropout_key),
        dropout_key=dropout_key,
    )


def prompted_lower(backbone: Backbone, params: Params, batch: Batch) -> LowerStates:
    """Reads a batch by the layers below the first that reads a deep prompt.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; see `shapes.Params`. Of its prompt, only the layers and
            positions are heeded.
        batch: Rows without soft tokens.

    Returns:
        What `Batch.lower` may be.
    """
    source = _source(backbone, params, batch)
    target = None
    if batch.target_places is None:
        target = _target(backbone, params, batch)
    source, target = backbone.lower(
        params["model"], source, target, prefix=prefixes(backbone, params, batch)
    )
    if target is None or not target.layers:
        return LowerStates(source.x, None, (source.layers, 0))
    return LowerStates(source.x, target.x, (source.layers, target.layers))


def _source(backbone: Backbone, params: Params, batch: Batch) -> Tokens:
    if batch.lower is not None:
        x, layers = batch.lower.inputs, batch.lower.layers[0]
    else:
        x, layers = prompted_embed(backbone, params, batch.inputs, batch.members), 0
    return Tokens(x, batch.input_segments, batch.input_types, layers)


def _target(backbone: Backbone, params: Params, batch: Batch) -> Tokens:
    if batch.lower is not None and batch.lower.targets is not None:
        x, layers = batch.lower.targets, batch.lower.layers[1]
    else:
        ids = batch.target_inputs
        x, layers = prompted_embed(backbone, params, ids, batch.members), 0
    return Tokens(x, batch.target_segments, layers=layers)
