"""Which neurons a prompt switches on, and how much two prompts' neurons overlap."""

import dataclasses
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxprompt.models.backbone import Backbone, Writer
from jaxprompt.models.taps import neuron_layers, neurons_read
from jaxprompt.prompts.join import prompted_logits, prompted_states
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Batch, Params
from jaxprompt.transfer.similarity import Pairs

WINDOW = 3
"""Layers of a window. Source: `caculate_metric_value_for_correlation.py`."""


def read_neurons(
    backbone: Backbone,
    model: Params,
    bank: Prompt,
    *,
    mask_id: int | None = None,
    frame: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Float[np.ndarray, "M N F"]:
    """Reads what each prompt alone makes of the neurons of every layer.

    An encoder reads the prompt and a mask, and the neurons are those at the mask. An
    encoder-decoder reads the same, and they are its decoder's at the first position. A
    decoder reads the prompt, and they are those at its last soft token, which writes
    the first word.

    Args:
        backbone: The frozen model's functions.
        model: Its weights.
        bank: M prompts.
        mask_id: Id of the mask, or of T5's first sentinel; None for none, so that an
            encoder's neurons are those at the last soft token.
        frame: Ids that an encoder reads before and behind a text.

    Returns:
        What goes into their activation; a neuron is on where it is over 0.

    Raises:
        ValueError: If a prompt has no soft tokens, and there is no mask.

    Source: Su et al. 2022, sec. 6.1 (arXiv:2111.06719): the mask of RoBERTa, the first
    position of T5's decoder. For decoders it is this project's.
    """
    backbone = dataclasses.replace(backbone, mesh=None, remat="none")
    mask = [] if mask_id is None or backbone.causal else [mask_id]
    soft = range(backbone.vocab_rows, backbone.vocab_rows + bank.length)
    before, behind = frame
    # As in training, where soft tokens stand in front of [CLS].
    ids = [*soft, *before, *mask, *behind]
    place = len(soft) + len(before) if mask else len(soft) - 1
    if not mask and not bank.length:
        raise ValueError(
            f"a prompt of {bank.told}, and no mask to read it at: nothing is read"
        )
    batch = _batch(ids, place, bank.members)
    params = {"model": model, "prompt": bank, "head": {}}
    writes = isinstance(backbone, Writer) and not backbone.causal
    layers, _ = neuron_layers(model)
    place = 0 if writes else place

    @jax.jit
    def read(params: Params, batch: Batch) -> Float[Array, "M N F"]:
        run = prompted_logits if writes else prompted_states
        found = neurons_read(lambda: run(backbone, params, batch))[-layers:]
        return jnp.stack([layer[:, place] for layer in found], axis=1)

    return np.asarray(read(params, batch), np.float32)


def overlap(
    neurons: Float[np.ndarray, "prompts N F"],
) -> dict[str, Pairs]:
    """Measures how far the neurons that prompts switch on are the same.

    Args:
        neurons: From `read_neurons`.

    Returns:
        "ON", of all layers, and "ON_0-2" and so on, of windows of three layers ->
        cosine of the two sets, as vectors of 0 and 1; 0 where a prompt switches on
        nothing.

    Source: Su et al. 2022, sec. 6.1 (arXiv:2111.06719).
    """
    on = (neurons > 0).astype(np.float64)
    layers = on.shape[1]
    windows = {"ON": slice(None)}
    for first in range(0, layers, WINDOW):
        last = min(first + WINDOW, layers)
        if last - first < layers:
            windows[f"ON_{first}-{last - 1}"] = slice(first, last)
    found = {}
    for name, window in windows.items():
        sets = on[:, window].reshape(len(on), -1)
        lengths = np.linalg.norm(sets, axis=1)
        both = np.outer(lengths, lengths)
        found[name] = np.divide(
            sets @ sets.T, both, out=np.zeros_like(both), where=both > 0
        )
    return found


def most_active(
    neurons: Float[np.ndarray, "N F"], share: float
) -> Bool[np.ndarray, "N F"]:
    """Chooses the neurons that a prompt switches on most, of all layers together.

    Args:
        neurons: Of one prompt.
        share: Share of all neurons to choose, over 0 and at most 1.

    Raises:
        ValueError: If the share is not in this range.

    Source: `mask_activated_neuron` of the original, whose default is 0.2.
    """
    count = _count(neurons.size, share)
    chosen = np.zeros(neurons.size, bool)
    chosen[np.argsort(-neurons.ravel(), kind="stable")[:count]] = True
    return chosen.reshape(neurons.shape)


def drawn(shape: tuple[int, int], share: float, seed: int) -> Bool[np.ndarray, "N F"]:
    """Chooses as many neurons by chance: what switching any of them off would do."""
    count = _count(shape[0] * shape[1], share)
    chosen = np.zeros(shape[0] * shape[1], bool)
    places = np.random.default_rng(seed).choice(chosen.size, count, replace=False)
    chosen[places] = True
    return chosen.reshape(shape)


def _count(neurons: int, share: float) -> int:
    if not 0 < share <= 1:
        raise ValueError(f"share {share} of the neurons: use one over 0, up to 1")
    return max(1, round(share * neurons))


def _batch(ids: Sequence[int], place: int, members: int) -> Batch:
    """Lays out a row for each member: its ids, and one target to be read there."""
    inputs = jnp.tile(jnp.array(ids, jnp.int32)[None], (members, 1))
    ones = jnp.ones((members, 1), jnp.int32)
    return Batch(
        inputs=inputs,
        input_segments=jnp.ones_like(inputs),
        targets=ones,
        target_inputs=jnp.zeros_like(ones),
        target_segments=ones,
        weights=jnp.ones((members, 1), jnp.float32),
        members=jnp.arange(members, dtype=jnp.int32),
        target_places=place * ones,
    )
