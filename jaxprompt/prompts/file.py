"""One trained prompt <-> one .safetensors file that says where it comes from."""

import dataclasses
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_bytes

from jaxprompt.atomic import write_atomically
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.prompt import Prompt, make_prompt

_TENSOR, _HEADER = "prompt", "jaxprompt"
_PACKAGES = ("jaxprompt", "jax", "flax", "optax", "seqio", "t5")


def installed_versions() -> dict[str, str]:
    """Returns the versions of the libraries that shape a result."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where a prompt comes from; stored in its file, so that it explains itself.

    Attributes:
        backbone: Name or folder of the frozen model that it was trained on.
        revision: Commit of the model on the Hub; None for a folder.
        fingerprint: What `models.backbone.fingerprint` says of the model's weights.
        length: Prompt length P, in tokens.
        width: Model width D.
        task: Name of the task.
        metric: Metrics whose mean is the score, joined by "+".
        score: Their mean on the split that the run was scored on, on the metrics' own
            scale.
        step: Training steps that it has seen.
        seed: Seed of the initialisation, the data order and the dropout.
        init: How it was initialised, one of `init.METHODS`.
        config: The run's gin configuration, enough to evaluate the prompt again.
        versions: Library versions, by package.
    """

    backbone: str
    revision: str | None
    fingerprint: str
    length: int
    width: int
    task: str = ""
    metric: str = ""
    score: float | None = None
    step: int = 0
    seed: int | None = None
    init: str = ""
    config: str = ""
    versions: dict[str, str] = dataclasses.field(default_factory=installed_versions)


def save_prompt(
    path: str | Path, prompt: Prompt, backbone: Backbone, **details: Any
) -> None:
    """Writes one prompt, atomically, as a .safetensors file.

    Equal arguments give equal bytes.

    Args:
        path: The file to write; an existing one is replaced.
        prompt: A bank of one; save the members of a larger bank one by one.
        backbone: The frozen model that the prompt was trained on.
        **details: Further fields of `Provenance`: task, metric, seed and so on.

    Raises:
        FileNotFoundError: If the folder does not exist.
        ValueError: If the bank holds more than one prompt, or if its rows are not
            finite or not as wide as the model.
    """
    if prompt.members != 1:
        raise ValueError(
            f"a prompt file holds one prompt, but this bank has {prompt.members}: save "
            "each member of unstack(bank) to a file of its own"
        )
    if prompt.width != backbone.width:
        raise ValueError(
            f"prompt width {prompt.width} != model width {backbone.width}: this is not "
            f"a prompt of {backbone.name}"
        )
    if not np.isfinite(prompt.rows).all():
        raise ValueError(
            "the prompt holds numbers that are not finite, so no model can use it: "
            "take an earlier checkpoint"
        )
    provenance = Provenance(
        backbone=backbone.name,
        revision=backbone.revision,
        fingerprint=backbone.fingerprint,
        length=prompt.length,
        width=prompt.width,
        **details,
    )
    rows = np.ascontiguousarray(np.asarray(prompt.rows[0], np.float32))
    # One header entry: safetensors writes several in no fixed order.
    header = {_HEADER: json.dumps(dataclasses.asdict(provenance), sort_keys=True)}
    write_atomically(Path(path), to_bytes({_TENSOR: rows}, metadata=header))


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
    if not Path(path).is_file():
        raise FileNotFoundError(f"no prompt file at {path}: check the path")
    try:
        with safe_open(path, framework="numpy") as file:
            header = (file.metadata() or {}).get(_HEADER)
            names = sorted(file.keys())
            rows = file.get_tensor(_TENSOR) if _TENSOR in names else None
    except SafetensorError as error:
        raise ValueError(f"{path} is not a whole safetensors file: {error}") from error
    if header is None or rows is None:
        raise ValueError(
            f"{path} holds the tensors {names} and no {_HEADER} header, so it is not a "
            "prompt file written by jaxprompt: use a prompt.safetensors of a run"
        )
    if rows.ndim != 2 or rows.dtype != np.float32 or not np.isfinite(rows).all():
        raise ValueError(
            f"{path}: the prompt is {rows.dtype} {rows.shape}, but it must be finite "
            "float32 [P, D]: the file is damaged"
        )
    try:
        provenance = Provenance(**json.loads(header))
    except (TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path}: its {_HEADER} header cannot be read ({error}): the file is "
            "damaged, or written by a newer version"
        ) from error
    if (provenance.length, provenance.width) != rows.shape:
        raise ValueError(
            f"{path}: the prompt is {list(rows.shape)}, but its header says "
            f"{[provenance.length, provenance.width]}: the file is damaged"
        )
    return make_prompt(rows), provenance


def check_backbone(
    provenance: Provenance,
    backbone: Backbone,
    *,
    override: bool = False,
) -> None:
    """Refuses a prompt that was trained on other weights.

    Args:
        provenance: Where the prompt comes from.
        backbone: The model that it is about to steer.
        override: Allows another model of the same width.

    Raises:
        ValueError: If the widths differ; or if the fingerprints do, unless overridden.
    """
    if provenance.width != backbone.width:
        raise ValueError(
            f"prompt width {provenance.width} != model width {backbone.width}: this "
            f"prompt was trained for {provenance.backbone}"
        )
    if provenance.fingerprint != backbone.fingerprint and not override:
        raise ValueError(
            f"this prompt was trained on {provenance.backbone} (fingerprint "
            f"{provenance.fingerprint[:12]}), but the model is {backbone.name} "
            f"({backbone.fingerprint[:12]}): load the model that it was trained on, or "
            "say --another_backbone to use it all the same"
        )
