"""The axis letters, and the two types that every room shares: Params and Batch.

| letter | axis             | letter | axis                         |
|--------|------------------|--------|------------------------------|
| B      | rows of a batch  | D      | model width                  |
| T      | source tokens    | H      | attention heads              |
| L      | target tokens    | K      | width of one head            |
| P      | prompt length    | F      | feed-forward width           |
| M      | members (prompts)| V      | rows of the embedding table  |
| N      | layers           | C      | classes                      |
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from jaxprompt.no_token import NO_TOKEN

Params = Mapping[str, Any]
"""A nested dict of arrays.

The joined tree is all that answers are a function of: "model", the frozen weights;
"prompt", a `Prompt` or what trains in its place; and "head", what turns the model's
states into answers. Where answers are words, the model's own output does, and the head
is {}, or absent.
"""


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LowerStates:
    """What the lower layers of a frozen model have made of a batch's tokens.

    Where nothing that trains has a part in it, it is computed once; see
    `train.kept_states`.

    Attributes:
        inputs: Of each source token; any numbers on padding.
        targets: Of each target input; None where the model begins with these.
        layers: Layers that the former have been through, and that the latter have.
    """

    inputs: Float[Array, "B T D"]
    targets: Float[Array, "B L D"] | None
    layers: tuple[int, int] = dataclasses.field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Batch:
    """One batch of an encoder-decoder model; soft tokens are ids like any others.

    A row may hold several packed examples, all of one member of the bank: `*_segments`
    number them 1, 2, ... and are 0 on padding. Tokens attend only within their own
    segment.

    Attributes:
        inputs: Source ids; any on padding. Ids V .. V+P-1 are the soft tokens of the
            row's member.
        input_segments: Example of each source token within its row, from 1.
        targets: Target ids, ending in end-of-sequence; any on padding.
        target_inputs: What the decoder reads: the targets of each segment shifted
            right by one, behind T5's id 0, or a decoder-only model's last source token.
        target_segments: Example of each target token within its row, from 1.
        weights: Loss weight of each target token; 0 on padding.
        members: Member of the bank of prompts that each row is of, from 0.
        row_numbers: Number of each row in its split or file, which its random draws
            follow from; None where nothing is drawn, as in training.
        input_types: Token type of each source token, 0 or 1, for an encoder-only model;
            None for others.
        target_places: Source token that each target is read at, by a head; -1 where no
            token stands for it. None where the model writes the targets.
        lower: What the model's upper layers read in the place of embedded ids; None
            where it begins with these. Made last: nothing lays such a batch out anew.
        lead: Ids that stand in front of the source of every example, and that no row
            holds: soft tokens, and words that never change. A decoder reads them once
            for all rows, without dropout. It is static: another one compiles anew.
    """

    inputs: Int[Array, "B T"]
    input_segments: Int[Array, "B T"]
    targets: Int[Array, "B L"]
    target_inputs: Int[Array, "B L"]
    target_segments: Int[Array, "B L"]
    weights: Float[Array, "B L"]
    members: Int[Array, " B"]
    row_numbers: Int[Array, " B"] | None = None
    input_types: Int[Array, "B T"] | None = None
    target_places: Int[Array, "B L"] | None = None
    lower: LowerStates | None = None
    lead: tuple[int, ...] = dataclasses.field(default=(), metadata={"static": True})


def unpacked_batch(
    inputs: Int[Array | np.ndarray, "B T"], targets: Int[Array | np.ndarray, "B L"]
) -> Batch:
    """Makes a batch of one example a row, all of them the first member's.

    Args:
        inputs: Source ids; `NO_TOKEN` on padding.
        targets: Target ids, ending in end-of-sequence; `NO_TOKEN` on padding. The
            first follows on id 0, as T5's do.

    Returns:
        The batch, on the default device.
    """
    source, target = (jnp.asarray(ids, jnp.int32) for ids in (inputs, targets))
    inputs, targets = jnp.maximum(source, 0), jnp.maximum(target, 0)
    return Batch(
        inputs=inputs,
        input_segments=(source != NO_TOKEN).astype(jnp.int32),
        targets=targets,
        target_inputs=jnp.pad(targets[:, :-1], ((0, 0), (1, 0))),
        target_segments=(target != NO_TOKEN).astype(jnp.int32),
        weights=(target != NO_TOKEN).astype(jnp.float32),
        members=jnp.zeros(len(inputs), jnp.int32),
    )


def put_back(batch: Batch, kept: int) -> Batch:
    """Puts the end of a lead back into the rows that it stands in front of.

    Args:
        batch: NumPy arrays, one example a row.
        kept: Tokens of the lead that stay out of the rows.
    """
    back = np.array(batch.lead[kept:], np.int32)
    shape = (len(batch.inputs), len(back))

    def behind(front: Any, values: Any) -> Any:
        if values is None:
            return None
        return np.concatenate([np.broadcast_to(front, shape), values], axis=1)

    places: Any = batch.target_places
    if places is not None:
        places = np.where(places < 0, places, places + len(back))
    return dataclasses.replace(
        batch,
        inputs=behind(back, batch.inputs),
        input_segments=behind(np.int32(1), batch.input_segments),
        input_types=behind(np.int32(0), batch.input_types),
        target_places=places,
        lead=batch.lead[:kept],
    )


def resize(batch: Batch, inputs: int, targets: int | None = None) -> Batch:
    """Cuts the rows of a batch behind some width, or pads them up to it.

    Args:
        batch: Any arrays; NumPy arrays where they are padded.
        inputs: Source tokens T of a row.
        targets: Target tokens L of a row; None for as many as there are.
    """
    if targets is None:
        targets = batch.targets.shape[1]

    def to(width: int, values: Any) -> Any:
        if values is None:
            return None
        missing = width - values.shape[1]
        if missing <= 0:
            return values[:, :width]
        return np.pad(values, ((0, 0), (0, missing)))

    return dataclasses.replace(
        batch,
        inputs=to(inputs, batch.inputs),
        input_segments=to(inputs, batch.input_segments),
        input_types=to(inputs, batch.input_types),
        targets=to(targets, batch.targets),
        target_inputs=to(targets, batch.target_inputs),
        target_segments=to(targets, batch.target_segments),
        weights=to(targets, batch.weights),
        target_places=to(targets, batch.target_places),
    )
