"""What a frozen model must offer, and `load`: a Hub name or a folder to weights."""

import dataclasses
import os
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import huggingface_hub
import huggingface_hub.errors
import jax
from jaxtyping import Array, Float, Int, Key

from jaxprompt.bundled import is_bundled, resolve
from jaxprompt.models.architecture import Model, make_backbone
from jaxprompt.models.options import Remat
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.quantise import Table
from jaxprompt.models.weights import hugging_face, t5x
from jaxprompt.models.weights.checkpoint import (
    Checkpoint,
    read_fingerprints,
    read_params,
)
from jaxprompt.models.weights.hugging_face import save
from jaxprompt.quoting import quoted_path
from jaxprompt.shapes import Params

__all__ = [
    "Backbone",
    "Cache",
    "find_checkpoint",
    "find_here",
    "load",
    "open_backbone",
    "save",
]

# Never a pickle: those can run code.
_WANTED = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
    "vocab.json",
    "merges.txt",
)


class Cache(Protocol):
    """What a backbone remembers between decoding steps: a pytree of its own."""

    def take(self, rows: Int[Array, " R"]) -> Self:
        """Gathers rows of the batch: repeats them for beams, or picks some."""
        ...

    def reorder(self, rows: Int[Array, " B"]) -> Self:
        """Like `take`, cheaper, for rows that share a source."""
        ...


class Backbone(Protocol):
    """A frozen model from source to target: a frozen dataclass, static and hashable.

    Its weights are arguments. Token ids never enter it, only embeddings: soft tokens
    join before it.

    A decoder-only model has the same shape: its source is the text in front, and the
    target inputs begin with the last source token.
    """

    # What `dataclasses.replace` asks for.
    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str:
        """Hub name or folder name."""
        ...

    @property
    def revision(self) -> str | None:
        """Commit of the Hub repository; None for a folder."""
        ...

    @property
    def fingerprint(self) -> str:
        """Identity of the checkpoint; see `models.fingerprint`."""
        ...

    @property
    def first_fingerprint(self) -> str:
        """The same by the rule of version 1, which saw embeddings and norms only."""
        ...

    @property
    def vocabulary(self) -> str | None:
        """Path of `spiece.model`, or of a folder with another vocabulary's files."""
        ...

    @property
    def width(self) -> int:
        """Model width D."""
        ...

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table, padded rows included."""
        ...

    @property
    def dtype(self) -> str:
        """Dtype to compute in; logits are float32."""
        ...

    @property
    def causal(self) -> bool:
        """Whether it has a decoder only."""
        ...

    @property
    def folds(self) -> bool:
        """Whether the soft tokens in front of every row shall become a prefix."""
        ...

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws random weights."""
        ...

    def with_fingerprint(self, params: Params) -> "Backbone":
        """Returns the same backbone with the fingerprints of these weights."""
        ...

    def table(self, params: Params) -> Table:
        """Returns the frozen embedding table; `quantise.look_up` reads its rows."""
        ...

    def fold(
        self, params: Params, rows: Float[Array, "M P D"]
    ) -> tuple[Float[Array, "N M P H K"], Float[Array, "N M P H K"]]:
        """Turns prompts into a prefix's keys and values, where the backbone `folds`."""
        ...

    # What `encode` returns is the backbone's own: states, or keys and values.
    def encode(
        self,
        params: Params,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        prefix: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Any:
        """Encodes embedded source tokens; segment 0 is padding."""
        ...

    def decode(
        self,
        params: Params,
        encoded: Any,
        input_segments: Int[Array, "B T"],
        y: Float[Array, "B L D"],
        target_segments: Int[Array, "B L"],
        *,
        prefix: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Scores every next target token against an encoded source; float32."""
        ...

    def logits(
        self,
        params: Params,
        x: Float[Array, "B T D"],
        input_segments: Int[Array, "B T"],
        y: Float[Array, "B L D"],
        target_segments: Int[Array, "B L"],
        *,
        prefix: Prefix | None = None,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Encodes, then decodes."""
        ...

    def start_cache(
        self,
        params: Params,
        encoded: Any,
        input_segments: Int[Array, "B T"],
        length: int,
        *,
        prefix: Prefix | None = None,
    ) -> Any:
        """Makes room for `length` target tokens behind the source; a `Cache`."""
        ...

    def decode_step(
        self,
        params: Params,
        cache: Any,
        y: Float[Array, "B D"],
        index: Int[Array, ""],
    ) -> tuple[Float[Array, "B V"], Any]:
        """Scores the next token of each row, given the one at `index`; float32."""
        ...


def find_checkpoint(
    name: str | Path, *, revision: str | None = None, vocabulary: str | None = None
) -> Checkpoint:
    """Finds a checkpoint and checks that it is whole, without reading the weights.

    Args:
        name: A Hugging Face folder, a T5X checkpoint folder, a bundled model such
            as "bundled:nano", or a Hub name. From the Hub only JSON, safetensors and
            vocabulary files are fetched, into its cache.
        revision: Branch, tag or commit of the Hub repository.
        vocabulary: Path of `spiece.model`, or of a folder with `tokenizer.json`, or
            with `vocab.json` and `merges.txt`, where the checkpoint has none or another
            is wanted.

    Returns:
        The checkpoint, for `load`.

    Raises:
        FileNotFoundError: If there is no such folder and the Hub does not help, or if
            the folder lacks a file.
        ValueError: If the files are those of neither a T5 nor a GPT-2.
    """
    if vocabulary is not None and not Path(vocabulary).exists():
        raise FileNotFoundError(
            f"no vocabulary at {quoted_path(vocabulary)}: name one that is there by "
            "--gin.VOCABULARY, or with None take the one beside the model"
        )
    folder, commit = _find_folder(str(name), revision)
    if t5x.is_checkpoint(folder):
        checkpoint = t5x.open_checkpoint(folder)
    else:
        checkpoint = hugging_face.open_checkpoint(folder, str(name), commit)
    return dataclasses.replace(
        checkpoint,
        name=str(name) if commit or is_bundled(name) else folder.resolve().name,
        revision=commit,
        vocabulary=vocabulary or _find_vocabulary(folder),
    )


def find_here(name: str) -> Checkpoint | None:
    """Finds a bundled model or a folder; None if a name is neither.

    Args:
        name: What may be a Hub name, which is then not asked for.

    Raises:
        FileNotFoundError: As `find_checkpoint`.
        ValueError: As `find_checkpoint`.
    """
    # Not Path.is_dir, which fails on a name that is too long.
    return find_checkpoint(name) if is_bundled(name) or os.path.isdir(name) else None


def load(
    name: str | Path | Checkpoint,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    quantise: str = "none",
    mesh: jax.sharding.Mesh | None = None,
    vocabulary: str | None = None,
    dropout: float = 0.0,
    remat: Remat = "none",
    unroll: bool = False,
) -> tuple[Model, Params]:
    """Loads a frozen model; the weights stream to their places in the wanted dtype.

    Args:
        name: As for `find_checkpoint`, or what that returned.
        revision: Branch, tag or commit of the Hub repository.
        dtype: "float32" or "bfloat16", of the weights and to compute in.
        quantise: "int8" stores every matrix in int8, see `models.quantise`; "none"
            stores all in `dtype`.
        mesh: Devices to spread the weights over; None for the default device.
        vocabulary: As for `find_checkpoint`.
        dropout: Share of features to drop where a `dropout_key` is given.
        remat: What the backward pass computes again; see `options.Remat`.
        unroll: Compile each layer on its own; see `T5`.

    Returns:
        The model, and its params: the tree under "model" of the joined tree.

    Raises:
        FileNotFoundError: As for `find_checkpoint`.
        ValueError: As for `find_checkpoint`; or if an option is unknown, or the mesh
            does not divide the model.
    """
    if isinstance(name, Checkpoint):
        checkpoint = name
    else:
        checkpoint = find_checkpoint(name, revision=revision, vocabulary=vocabulary)
    backbone = open_backbone(
        checkpoint, dtype=dtype, dropout=dropout, remat=remat, unroll=unroll
    )
    return backbone, read_params(checkpoint, dtype, mesh, quantise=quantise)


def open_backbone(
    checkpoint: Checkpoint,
    *,
    dtype: str = "float32",
    dropout: float = 0.0,
    remat: Remat = "none",
    unroll: bool = False,
) -> Model:
    """Makes the functions of a checkpoint, with its fingerprints, but no weights yet.

    The first time, that reads the whole checkpoint; its fingerprints are then kept in
    ~/.cache/jaxprompt/fingerprints for as long as its files do not change.

    Args:
        checkpoint: From `find_checkpoint`.
        dtype: "float32" or "bfloat16", to compute in.
        dropout: Share of features to drop where a `dropout_key` is given.
        remat: What the backward pass computes again; see `options.Remat`.
        unroll: Compile each layer on its own; see `T5`.

    Returns:
        The model; `read_params(checkpoint, dtype, mesh)` reads its weights.

    Raises:
        ValueError: If an option is unknown.
    """
    backbone = make_backbone(
        checkpoint.config,
        name=checkpoint.name,
        revision=checkpoint.revision,
        vocabulary=checkpoint.vocabulary,
        dtype=dtype,
        dropout=dropout,
        remat=remat,
        unroll=unroll,
    )
    current, first = read_fingerprints(checkpoint)
    return dataclasses.replace(backbone, fingerprint=current, first_fingerprint=first)


def _find_folder(name: str, revision: str | None) -> tuple[Path, str | None]:
    """Returns a folder, and the commit it is a snapshot of if it is the Hub's."""
    folder = Path(resolve(name)).expanduser()
    if folder.is_dir():
        if revision is not None:
            raise ValueError(
                f"revision {revision!r} given, but {name} is a folder: leave it out"
            )
        return folder, None
    if name.startswith((".", "/", "~")):
        raise FileNotFoundError(f"no model folder at {quoted_path(name)}")
    try:
        snapshot = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(_WANTED)
        )
    # The Hub's client raises many kinds: no such name, no network, offline, no disk.
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as err:
        raise FileNotFoundError(
            f"no model folder at {quoted_path(name)}, and {name!r} could not be had "
            f"from the Hub: {err}"
        ) from err
    # The cache names a snapshot's folder by its commit.
    return Path(snapshot), Path(snapshot).name


def _find_vocabulary(folder: Path) -> str | None:
    fast = (folder / "tokenizer.json").is_file()
    if not fast and (folder / "spiece.model").is_file():
        return str(folder / "spiece.model")
    merged = all((folder / name).is_file() for name in ("vocab.json", "merges.txt"))
    return str(folder) if fast or merged else None
