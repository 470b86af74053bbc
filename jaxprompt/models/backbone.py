"""What a frozen model must offer, and `load`: a Hub name or a folder to weights."""

import dataclasses
from pathlib import Path
from typing import Literal, Protocol

import huggingface_hub
import huggingface_hub.errors
import jax
from jaxtyping import Array, Float, Int, Key

from jaxprompt.bundled import is_bundled, resolve
from jaxprompt.models.quantise import Table
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_block import Cache
from jaxprompt.models.weights import hugging_face, t5x
from jaxprompt.models.weights.checkpoint import (
    Checkpoint,
    read_fingerprint,
    read_params,
)
from jaxprompt.models.weights.hugging_face import save
from jaxprompt.shapes import Params

__all__ = ["Backbone", "Cache", "find_checkpoint", "load", "open_backbone", "save"]

# Never a pickle: those can run code.
_WANTED = (
    "config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "spiece.model",
    "tokenizer.json",
    "tokenizer_config.json",
)


class Backbone(Protocol):
    """A frozen encoder-decoder: static and hashable, its weights are arguments.

    Token ids never enter it, only embeddings: soft tokens join before it.
    """

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
    def vocabulary(self) -> str | None:
        """Path of `spiece.model`, or of a folder with `tokenizer.json`."""
        ...

    @property
    def width(self) -> int:
        """Model width D."""
        ...

    @property
    def vocab_rows(self) -> int:
        """Rows V of the embedding table, padded rows included."""
        ...

    def init(self, key: Key[Array, ""]) -> Params:
        """Draws random weights."""
        ...

    def table(self, params: Params) -> Table:
        """Returns the frozen embedding table; `quantise.look_up` reads its rows."""
        ...

    def encode(
        self,
        params: Params,
        x: Float[Array, "B T D"],
        segments: Int[Array, "B T"],
        *,
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B T D"]:
        """Encodes embedded source tokens; segment 0 is padding."""
        ...

    def decode(
        self,
        params: Params,
        encoded: Float[Array, "B T D"],
        input_segments: Int[Array, "B T"],
        y: Float[Array, "B L D"],
        target_segments: Int[Array, "B L"],
        *,
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
        dropout_key: Key[Array, ""] | None = None,
    ) -> Float[Array, "B L V"]:
        """Encodes, then decodes."""
        ...

    def start_cache(
        self,
        params: Params,
        encoded: Float[Array, "B T D"],
        input_segments: Int[Array, "B T"],
        length: int,
    ) -> Cache:
        """Projects the source once, and makes room for `length` target tokens."""
        ...

    def decode_step(
        self,
        params: Params,
        cache: Cache,
        y: Float[Array, "B D"],
        index: Int[Array, ""],
    ) -> tuple[Float[Array, "B V"], Cache]:
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
        vocabulary: Path of `spiece.model`, or of a folder with `tokenizer.json`, where
            the checkpoint has none or another is wanted.

    Returns:
        The checkpoint, for `load`.

    Raises:
        FileNotFoundError: If there is no such folder and the Hub does not help, or if
            the folder lacks a file.
        ValueError: If the files are not those of a T5.
    """
    if vocabulary is not None and not Path(vocabulary).exists():
        raise FileNotFoundError(f"no vocabulary at {vocabulary}")
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


def load(
    name: str | Path | Checkpoint,
    *,
    revision: str | None = None,
    dtype: str = "float32",
    quantise: str = "none",
    mesh: jax.sharding.Mesh | None = None,
    vocabulary: str | None = None,
    dropout: float = 0.0,
    remat: Literal["none", "dots", "full"] = "none",
    unroll: bool = False,
) -> tuple[T5, Params]:
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
        remat: What the backward pass computes again; see `T5`.
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
    remat: Literal["none", "dots", "full"] = "none",
    unroll: bool = False,
) -> T5:
    """Makes the functions of a checkpoint, with its fingerprint, but no weights yet.

    Args:
        checkpoint: From `find_checkpoint`.
        dtype: "float32" or "bfloat16", to compute in.
        dropout: Share of features to drop where a `dropout_key` is given.
        remat: What the backward pass computes again; see `T5`.
        unroll: Compile each layer on its own; see `T5`.

    Returns:
        The model; `read_params(checkpoint, dtype, mesh)` reads its weights.

    Raises:
        ValueError: If an option is unknown.
    """
    backbone = T5(
        checkpoint.config,
        name=checkpoint.name,
        revision=checkpoint.revision,
        vocabulary=checkpoint.vocabulary,
        dtype=dtype,
        dropout=dropout,
        remat=remat,
        unroll=unroll,
    )
    fingerprint = read_fingerprint(checkpoint)
    return dataclasses.replace(backbone, fingerprint=fingerprint)


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
        raise FileNotFoundError(f"no model folder at {name}")
    try:
        snapshot = huggingface_hub.snapshot_download(
            name, revision=revision, allow_patterns=list(_WANTED)
        )
    # The Hub's client raises many kinds: no such name, no network, offline, no disk.
    except (OSError, ValueError, huggingface_hub.errors.HfHubHTTPError) as err:
        raise FileNotFoundError(
            f"no model folder at {name}, and {name!r} could not be had from the Hub: "
            f"{err}"
        ) from err
    # The cache names a snapshot's folder by its commit.
    return Path(snapshot), Path(snapshot).name


def _find_vocabulary(folder: Path) -> str | None:
    if (folder / "spiece.model").is_file():
        return str(folder / "spiece.model")
    return str(folder) if (folder / "tokenizer.json").is_file() else None
