"""The keys and values of a prompt as the first columns of a row of slots."""

from typing import Any

import numpy as np

from jaxprompt.models.backbone import SlotWriter
from jaxprompt.models.slots import Slots
from jaxprompt.prompts.prompt import Deep, Prompt


def deep_row(backbone: SlotWriter, prompt: Prompt, room: int, dtype: Any) -> Slots:
    """Lays out a prompt's keys and values, with nothing read behind them yet.

    Args:
        backbone: The frozen model's functions.
        prompt: A bank of one, which has passed `check_deep`.
        room: Columns of the row, as many as there are of them or more.
        dtype: Of the keys and values in slots.

    Returns:
        A single row of NumPy arrays.
    """
    site = backbone.config.sites["decoder"]
    shape = (site.layers, 1, room, site.kv_heads, site.head_width)
    keys, values = (np.zeros(shape, np.float32) for _ in range(2))
    hidden = np.zeros((site.layers, 1), np.int32)
    gate = np.zeros((site.layers, 1, backbone.config.heads), np.float32)
    columns = placeless = gated = 0
    deep = prompt.deep.get("decoder")
    if deep is not None:
        columns = deep.length
        placeless = 0 if deep.in_front else columns
        keys[:, 0, :columns] = np.asarray(deep.keys)[0]
        values[:, 0, :columns] = np.asarray(deep.values)[0]
        if deep.gate is not None:
            gated, gate[:, 0] = columns, np.asarray(deep.gate)[0]
        if deep.layers is not None:
            unused = ~np.array(deep.layers)
            hidden[unused], gate[unused] = columns, 0.0
    filled, without_place, with_gate = (
        np.array([count], np.int32) for count in (columns, placeless, gated)
    )
    arrays: dict[str, Any] = {
        "keys": keys.astype(dtype),
        "values": values.astype(dtype),
        "filled": filled,
        "placeless": without_place,
        "hidden": hidden,
        "gated": with_gate,
        "gate": gate,
    }
    return Slots(**arrays)


def check_deep(backbone: SlotWriter, prompt: Prompt) -> None:
    """Raises ValueError unless the model can read a prompt's keys and values."""
    others = sorted({*prompt.deep} - {"decoder"})
    if others:
        raise ValueError(
            f"a prompt with keys and values at {others[0]}, but {backbone.name} has "
            "'decoder' alone: it was made for another model"
        )
    for deep in prompt.deep.values():
        site = backbone.config.sites["decoder"]
        found = (deep.keys.shape[1], *deep.keys.shape[3:])
        if found != (site.layers, site.kv_heads, site.head_width):
            raise ValueError(
                f"keys and values of {found} layers, heads and width, but "
                f"{backbone.name} has {site}: it was made for another model"
            )
        _check_gate(backbone, deep)


def _check_gate(backbone: SlotWriter, deep: Deep) -> None:
    heads = backbone.config.heads
    if deep.gate is not None and deep.gate.shape[2] != heads:
        raise ValueError(
            f"gates of {deep.gate.shape[2]} heads, but {backbone.name} has {heads}: "
            "they were made for another model"
        )
