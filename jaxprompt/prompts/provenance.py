"""Where a prompt comes from, as its file says, and whether a model is that one."""

import dataclasses
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_origin, get_type_hints

from jaxprompt.files.json_file import parse_json_object
from jaxprompt.models.fingerprint import is_of_every_weight
from jaxprompt.screen.quoting import cut, visible

if TYPE_CHECKING:
    from jaxprompt.models.backbone import Backbone

VERSION = 2
"""Of the files that are written. Those of version 1 held soft tokens alone."""

HEADER = "jaxprompt"
"""Name of the header in a prompt file."""

_PACKAGES = ("jaxprompt", "jax", "flax", "optax", "transformers", "t5")


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
        fingerprint: Identity of the model's weights, from `models.fingerprint`; empty
            if they were never seen, as of a prompt of another program. Without "2:" in
            front it is of version 1, which saw the embeddings and the norms only.
        length: Soft tokens P; 0 for none.
        width: Model width D.
        sites: Of each site with keys and values, their "layers" N, "length" P,
            "kv_heads" G and "head_width" K, "used": the numbers of the layers that
            attend to them, from 0, and whether they are "in_front" and "gated"; see
            `prompts.prompt.Deep`.
        head: What turns the model's states into answers; "words" is the model itself.
        answering: What answers need besides the model and the prompt: the task's
            template, label words and metrics, the lengths and the method; see
            `config.answering`. Empty if that is not known.
        task: Name of the task.
        metric: Metrics whose mean is the score, joined by "+".
        score: Their mean on the split that the run was scored on, on the metrics' own
            scale.
        step: Training steps that it has seen.
        seed: Seed of the initialisation, the data order and the dropout.
        init: How it was initialised, one of `init.METHODS`.
        config: The run's gin configuration, enough to evaluate the prompt again.
        source: Form and name of another program's file that it was read from.
        causal: Whether the frozen model has a decoder only; None if that is not known,
            as of a prompt of another program for a model that was not there.
        family: What the frozen model's family is called, as "Llama"; empty if that is
            not known.
        tunes_model: Whether the model was trained beside the head of this file, which
            is for that tuned model alone.
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
    source: str = ""
    causal: bool | None = False
    family: str = ""
    tunes_model: bool = False
    versions: dict[str, str] = dataclasses.field(default_factory=installed_versions)
    sites: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    head: str = "words"
    answering: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def has_head(self) -> bool:
        """Whether a head answers whose weights are in the file beside the prompt."""
        return self.head not in ("words", "mask")


def refuse_head(provenance: Provenance, who: str) -> None:
    """Raises ValueError where a prompt answers by a head, for those who take none.

    Args:
        provenance: Of the prompt.
        who: Who would lose the head, as "form peft".
    """
    if provenance.has_head:
        raise ValueError(
            f"{who} takes a prompt alone, but this one answers by a head of "
            f"{provenance.head}, which would be lost: keep its own file"
        )


def read_header(path: str | Path, header: str) -> Provenance:
    """Reads the header of a prompt file of any version.

    Args:
        path: The file, for error messages.
        header: What it holds under `HEADER`.

    Raises:
        ValueError: If it is damaged, or of a newer version.
    """
    where, fix = f"{path}: its {HEADER} header", "the file is damaged"
    # A score that is not defined is NaN.
    fields = parse_json_object(header, where, fix, undefined=True)
    version = fields.pop("version", 1)
    if version not in range(1, VERSION + 1):
        raise ValueError(
            f"{path}: it is a prompt file of version {cut(visible(str(version)), 20)}, "
            f"and this program reads up to version {VERSION}: take a newer jaxprompt"
        )
    try:
        provenance = Provenance(**fields)
        _check_fields(provenance)
    except TypeError as error:
        said = cut(visible(str(error)), most=200)
        raise ValueError(
            f"{where} cannot be read ({said}): {fix}, or written by a newer version"
        ) from error
    return provenance


def _check_fields(provenance: Provenance) -> None:
    """Raises TypeError where a header holds what no run writes."""
    hints = get_type_hints(Provenance)
    for name, value in vars(provenance).items():
        kinds = get_args(hints[name]) or (hints[name],)
        if get_origin(hints[name]) is dict:
            of_value = get_origin(get_args(hints[name])[1]) or get_args(hints[name])[1]
            fits = isinstance(value, dict) and all(
                of_value is Any or isinstance(one, of_value) for one in value.values()
            )
        else:
            # A whole number may stand for any other, but True for none.
            fits = type(value) in kinds or (type(value) is int and float in kinds)
        if not fits:
            raise TypeError(f"{name} is of type {type(value).__name__}")


def check_backbone(
    provenance: Provenance,
    backbone: "Backbone",
    *,
    override: bool = False,
) -> str | None:
    """Refuses a prompt that was trained on other weights.

    Args:
        provenance: Where the prompt comes from.
        backbone: The model that it is about to steer.
        override: Allows another model of the same width.

    Returns:
        What the user should know of a prompt that is taken all the same: its
        fingerprint is of version 1, which does not vouch for every weight. Else None.

    Raises:
        ValueError: If the widths differ; or, unless overridden, if the fingerprints do
            or the prompt's is not known.
    """
    if provenance.width != backbone.width:
        raise ValueError(
            f"prompt width {provenance.width} != model width {backbone.width}: this "
            f"prompt was trained for {provenance.backbone}"
        )
    if override:
        return None
    if not provenance.fingerprint:
        raise ValueError(
            f"this prompt was trained on {provenance.backbone}, but its file does not "
            f"say on which weights, so it cannot be verified that {backbone.name} is "
            "that model: say --another_backbone if it is"
        )
    if provenance.fingerprint == backbone.fingerprint:
        return None
    if provenance.fingerprint == backbone.first_fingerprint:
        return (
            f"this prompt's file has a fingerprint of version 1, which vouches for the "
            f"embeddings and norms of {backbone.name} only: whether its other weights "
            f"are those of {provenance.backbone} is not known"
        )
    # One version on both sides, so that two hashes are compared in the message.
    whole = is_of_every_weight(provenance.fingerprint)
    found = backbone.fingerprint if whole else backbone.first_fingerprint
    raise ValueError(
        f"this prompt was trained on {provenance.backbone} (fingerprint "
        f"{provenance.fingerprint[:12]}), but the model is {backbone.name} "
        f"({found[:12]}): load the model that it was trained on, or say "
        "--another_backbone to use it all the same"
    )
