"""One trained prompt <-> one .safetensors file that says where it comes from."""

import dataclasses
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as to_bytes

from jaxprompt.files.atomic import write_atomically
from jaxprompt.files.strict_json import parse_json
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.config import SiteName
from jaxprompt.models.families import family_of
from jaxprompt.prompts.prompt import Deep, Prompt, make_deep, make_prompt
from jaxprompt.prompts.provenance import (
    HEADER,
    VERSION,
    Provenance,
    check_backbone,
    read_header,
)
from jaxprompt.prompts.tuned import TunedPrompt
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.shapes import Params

_PROMPT, _START, _HEAD = "prompt", "start", "head"
_FIRST_NAMES: Mapping[str, str] = {_PROMPT: f"{_PROMPT}/rows", _START: f"{_START}/rows"}
"""Name of a tensor in version 1 -> its name since."""

_AXES = {
    "rows": "[P, D]",
    "keys": "[N, P, G, K]",
    "values": "[N, P, G, K]",
    "gate": "[N, H]",
}
"""What a tensor's name ends in -> its axes. In a file no member has an axis M."""

_HEAD_AXES = {"weight": "[D, C]", "bias": "[C]"}
"""The same of a head."""

_LONGEST_HEADER = 100_000_000
"""Bytes of a header, as safetensors bounds them."""


def save_prompt(
    path: str | Path,
    prompt: Prompt | TunedPrompt,
    backbone: Backbone | None = None,
    *,
    start: Prompt | None = None,
    weights: Params | None = None,
    **details: Any,
) -> None:
    """Writes one trained prompt, atomically, as a .safetensors file.

    Equal arguments give equal bytes.

    Args:
        path: The file to write; an existing one is replaced.
        prompt: A bank of one; save the members of a larger bank one by one. A
            `TunedPrompt` brings all that follows, so that nothing else is to be given.
        backbone: The frozen model that the prompt was trained on.
        start: The prompt that training started from, to tell later how far each row
            has moved; None leaves it out.
        weights: Of the head that was trained beside it, a bank of one; None for none.
        **details: Further fields of `Provenance`: task, metric, seed and so on.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the prompt is not as wide as the model, or comes without one; or
            as `write_prompt`.
    """
    if isinstance(prompt, TunedPrompt):
        _save_tuned(path, prompt, backbone, start=start, weights=weights, **details)
        return
    if not isinstance(prompt, Prompt):
        raise ValueError(
            f"what is to be saved is a {type(prompt).__name__}: give a prompt, as "
            "result.prompt of what `tune` returns"
        )
    if backbone is None:
        raise ValueError(
            "a prompt alone does not say which model it is of: give its backbone, as "
            "save_prompt(path, prompt, model.backbone)"
        )
    if prompt.width != backbone.width:
        raise ValueError(
            f"prompt width {prompt.width} != model width {backbone.width}: this is not "
            f"a prompt of {backbone.name}"
        )
    provenance = Provenance(
        backbone=backbone.name,
        revision=backbone.revision,
        fingerprint=backbone.fingerprint,
        length=prompt.length,
        width=prompt.width,
        causal=backbone.causal,
        family=family_of(backbone.config).name,
        **details,
    )
    write_prompt(path, prompt, provenance, start=start, weights=weights)


def _save_tuned(
    path: str | Path, tuned: TunedPrompt, backbone: Backbone | None, **more: Any
) -> None:
    given = [name for name, value in more.items() if value is not None]
    if given:
        raise ValueError(
            f"{listed(given)} for a tuned prompt, which brings its own: leave it out"
        )
    if backbone is not None:
        check_backbone(tuned.provenance, backbone)
    write_prompt(
        path, tuned.prompt, tuned.provenance, start=tuned.start, weights=tuned.head
    )


def write_prompt(
    path: str | Path,
    prompt: Prompt,
    provenance: Provenance,
    *,
    start: Prompt | None = None,
    weights: Params | None = None,
) -> None:
    """Writes one prompt with a provenance that is known already, atomically.

    Args:
        path: The file to write; an existing one is replaced.
        prompt: A bank of one.
        provenance: Where it comes from. The prompt itself says its length, its width
            and its sites.
        start: As of `save_prompt`.
        weights: As of `save_prompt`.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If a bank holds more than one prompt, if its numbers are not finite,
            or if the start has another shape.
    """
    provenance = dataclasses.replace(
        provenance, length=prompt.length, width=prompt.width, sites=_sites(prompt)
    )
    tensors = _head_tensors(weights or {})
    if not (tensors and prompt.is_empty):
        tensors |= _tensors(prompt, _PROMPT)
    if start is not None:
        tensors |= _tensors(start, _START)
        if start.rows.shape != prompt.rows.shape or _sites(start) != _sites(prompt):
            raise ValueError(
                f"start {_told(start)} != prompt {_told(prompt)}: give what this "
                "prompt's training started from"
            )
    # One header entry: safetensors writes several in no fixed order. Names are not
    # sorted: the order of a task's labels is that of a head's columns.
    header = {"version": VERSION, **dataclasses.asdict(provenance)}
    header = {HEADER: json.dumps(header)}
    write_atomically(Path(path), to_bytes(tensors, metadata=header))


def _tensors(bank: Prompt, what: str) -> dict[str, np.ndarray]:
    """Names the arrays of a bank of one by their paths, as float32 without the axis M.

    Soft tokens are left out where there are none.
    """
    if bank.members != 1:
        raise ValueError(
            f"a prompt file holds one {what}, but this bank has {bank.members}: save "
            "each member of unstack(bank) to a file of its own"
        )
    if bank.is_empty:
        raise ValueError(
            f"the {what} is {list(bank.rows.shape[1:])}, of no rows: a prompt file "
            "holds one row or more, or keys and values"
        )
    return _named(bank, what)


def _head_tensors(weights: Params) -> dict[str, np.ndarray]:
    """Names the arrays of a bank of one head, as float32 without the axis M."""
    members = {len(leaf) for leaf in jax.tree.leaves(weights)} - {1}
    if members:
        raise ValueError(
            f"a prompt file holds one head, but this bank has {members.pop()}: save "
            "the head of each member with its prompt"
        )
    return _named(weights, _HEAD)


def _named(bank: Any, what: str) -> dict[str, np.ndarray]:
    found = {}
    for path, leaf in jax.tree.leaves_with_path(bank):
        array = np.ascontiguousarray(np.asarray(leaf[0], np.float32))
        if not np.isfinite(array).all():
            raise ValueError(
                f"the {what} holds numbers that are not finite, so no model can use "
                "it: take an earlier checkpoint"
            )
        if array.size:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            found[f"{what}/{name}"] = array
    return found


def _sites(prompt: Prompt) -> dict[str, dict[str, Any]]:
    """Describes the keys and values of each site, for the header."""
    found = {}
    for site, deep in sorted(prompt.deep.items()):
        _, layers, length, kv_heads, head_width = deep.keys.shape
        used = deep.layers or (True,) * layers
        found[site] = {
            "layers": layers,
            "length": length,
            "kv_heads": kv_heads,
            "head_width": head_width,
            "used": [layer for layer, is_used in enumerate(used) if is_used],
            "in_front": deep.in_front,
            "gated": deep.gate is not None,
        }
    return found


def _told(prompt: Prompt) -> str:
    return prompt.told if prompt.deep else str(list(prompt.rows.shape[1:]))


def read_tuned(path: str | Path) -> TunedPrompt:
    """Reads all that a prompt file holds.

    Args:
        path: A file written by `save_prompt`.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a prompt file of this project.
    """
    prompt, provenance = load_prompt(path)
    return TunedPrompt(prompt, provenance, load_head(path), load_start(path))


def load_prompt(path: str | Path) -> tuple[Prompt, Provenance]:
    """Reads a prompt file.

    Args:
        path: A file written by `save_prompt`.

    Returns:
        The prompt, a bank of one, and where it comes from.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a prompt file of this project.
    """
    prompt, provenance, _ = load_prompt_and_head(path)
    return prompt, provenance


def load_prompt_and_head(path: str | Path) -> tuple[Prompt, Provenance, Params]:
    """Reads a prompt file once: what `load_prompt` and `load_head` read of it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a prompt file of this project.
    """
    tensors, provenance = _read(path)
    prompt = _prompt_of(path, tensors, _PROMPT, provenance)
    return prompt, provenance, _head_of(tensors)


def load_head(path: str | Path) -> Params:
    """Reads the weights of the head that was trained beside a prompt.

    Args:
        path: A file written by `save_prompt`.

    Returns:
        A bank of one: each leaf leads with an axis of 1; {} for a head of words.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a prompt file of this project.
    """
    return _head_of(_read(path)[0])


def _head_of(tensors: Mapping[str, np.ndarray]) -> Params:
    found: dict[str, Any] = {}
    for name, array in tensors.items():
        _, *folders, last = name.split("/")
        if name.startswith(f"{_HEAD}/"):
            place = found
            for folder in folders:
                place = place.setdefault(folder, {})
            place[last] = jnp.asarray(array)[None]
    return found


def load_start(path: str | Path) -> Prompt | None:
    """Reads the prompt that training started from.

    Args:
        path: A file written by `save_prompt`.

    Returns:
        The start, a bank of one as long and wide as the prompt; None if the file does
        not say.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a prompt file of this project.
    """
    tensors, provenance = _read(path)
    if not any(name.startswith(f"{_START}/") for name in tensors):
        return None
    return _prompt_of(path, tensors, _START, provenance)


def _read(path: str | Path) -> tuple[dict[str, np.ndarray], Provenance]:
    """Reads the prompt, the start if there is one, and the header.

    Returns:
        The tensors, by the names that they have since version 2.
    """
    # Not Path.is_file, which fails on a name that is too long.
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"no prompt file at {quoted_path(path)}: check the path"
        )
    content, header = _content_of(path)
    try:
        found = dict(deserialize(content))
    except SafetensorError as error:
        raise _not_whole(path, error) from error
    ours = sorted(filter(_is_ours, found))
    tensors = {name: _tensor(found[name], name, path) for name in ours}
    provenance = read_header(path, header)
    for name, array in tensors.items():
        axes = len(_axes_of(name).split())
        sound = array.ndim == axes and array.size > 0 and array.dtype == np.float32
        if not sound or not np.isfinite(array).all():
            raise _wrong(path, name, f"{array.dtype} {array.shape}")
    return {_FIRST_NAMES.get(name, name): x for name, x in tensors.items()}, provenance


def _axes_of(name: str) -> str:
    if name.startswith(f"{_HEAD}/"):
        return _HEAD_AXES.get(name.split("/")[-1], _HEAD_AXES["weight"])
    return _AXES.get(name.split("/")[-1], _AXES["rows"])


def _prompt_of(
    path: str | Path, tensors: Mapping[str, np.ndarray], what: str, said: Provenance
) -> Prompt:
    """Puts the tensors of the prompt, or of its start, together.

    Raises:
        ValueError: If they are not what the header says.
    """
    # A header may say anything.
    width = said.width if said.width in range(1, 2**20) else 1
    own = {
        name.partition("/")[2]: jnp.asarray(array)
        for name, array in tensors.items()
        if name.startswith(f"{what}/")
    }
    rows = own.pop("rows", jnp.zeros((0, width)))
    if (said.length, said.width) != rows.shape:
        raise ValueError(
            f"{path}: the {what} is {list(rows.shape)}, but its header says "
            f"{[said.length, said.width]}: the file is damaged"
        )
    # Earlier files say nothing of these, and had neither.
    sites_said = {
        site: {"in_front": False, "gated": False, **told}
        for site, told in said.sites.items()
    }
    sites: dict[SiteName, Deep] = {}
    try:
        for site in ("encoder", "decoder", "cross"):
            if site in sites_said:
                keys, values = (
                    own.pop(f"deep/{site}/{part}") for part in ("keys", "values")
                )
                used = sites_said[site]["used"]
                layers = [layer in used for layer in range(len(keys))]
                gate = own.pop(f"deep/{site}/gate", None)
                in_front = sites_said[site]["in_front"] is True
                sites[site] = make_deep(
                    keys, values, layers, gate=gate, in_front=in_front
                )
    except (KeyError, TypeError, ValueError) as error:
        raise _other_sites(path, what) from error
    prompt = make_prompt(rows, sites)
    if own or _sites(prompt) != sites_said:
        raise _other_sites(path, what)
    return prompt


def _other_sites(path: str | Path, what: str) -> ValueError:
    return ValueError(
        f"{path}: the keys and values of the {what} are not those that its header "
        "says: the file is damaged"
    )


def _content_of(path: str | Path) -> tuple[bytes, str]:
    """Reads a file of ours, and our header; of any other file the beginning alone.

    It is not mapped, as `safe_open` would do: whoever cuts a mapped file, as by copying
    another one over it, ends the process that reads it.
    """
    with open(path, "rb") as file:
        size = file.read(8)
        text = file.read(min(int.from_bytes(size, "little"), _LONGEST_HEADER))
        try:
            said = parse_json(text.decode())
        except ValueError as error:
            raise _not_whole(path, error) from error
        metadata = said.pop("__metadata__", None) if isinstance(said, dict) else None
        names = sorted(said) if isinstance(said, dict) else []
        header = metadata.get(HEADER) if isinstance(metadata, dict) else None
        holds_any = any(name.startswith((_PROMPT, _HEAD)) for name in names)
        if not isinstance(header, str) or not holds_any:
            raise ValueError(
                f"{path} holds the tensors {[name[:40] for name in names[:5]]} and no "
                f"{HEADER} header, so it is not a prompt file written by jaxprompt: "
                "use a prompt.safetensors of a run"
            )
        return size + text + file.read(), header


def _not_whole(path: str | Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is not a whole safetensors file: {error}")


def _is_ours(name: str) -> bool:
    return name.split("/")[0] in (_PROMPT, _START, _HEAD)


def _tensor(found: Mapping[str, Any], name: str, path: str | Path) -> np.ndarray:
    if found["dtype"] != "F32":
        raise _wrong(path, name, f"{found['dtype']} {found['shape']}")
    return np.frombuffer(found["data"], "<f4").reshape(found["shape"])


def _wrong(path: str | Path, name: str, found: str) -> ValueError:
    return ValueError(
        f"{path}: the {name} is {found}, but it must be finite float32 "
        f"{_axes_of(name)} of one row or more: the file is damaged"
    )
