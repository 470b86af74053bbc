"""`load`: from a Hub name, a folder or a GGUF file to the functions and weights."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxprompt.bundled import is_bundled, resolve
from jaxprompt.models import hub
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.families import family_of, make_backbone
from jaxprompt.models.fingerprint import Leaf, fingerprint, first_fingerprint
from jaxprompt.models.options import Remat
from jaxprompt.models.weights import gguf, hugging_face, t5x
from jaxprompt.models.weights.checkpoint import (
    Checkpoint,
    read_fingerprints,
    read_params,
)
from jaxprompt.models.weights.gguf_head import is_gguf
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.screen.suggest import path_hint
from jaxprompt.shapes import Params


class WeightFormat(NamedTuple):
    """A kind of file or folder that weights are stored in; see docs/extending.md.

    Attributes:
        name: What the format is called.
        is_one: Whether a path is of this format, by its name or what it holds; it need
            not be there.
        open: The path -> its checkpoint, with its vocabulary where it holds one. Raises
            FileNotFoundError or ValueError if it cannot be read.
    """

    name: str
    is_one: Callable[[Path], bool]
    open: Callable[[Path], Checkpoint]


FORMATS: list[WeightFormat] = [
    WeightFormat("GGUF", is_gguf, gguf.open_checkpoint),
    WeightFormat("T5X", t5x.is_checkpoint, t5x.open_checkpoint),
]
"""All but Hugging Face folders, which a folder is taken for that is none of these."""


def find_checkpoint(
    name: str | Path, *, revision: str | None = None, vocabulary: str | None = None
) -> Checkpoint:
    """Finds a checkpoint and checks that it is whole, without reading the weights.

    Args:
        name: A Hugging Face folder, a T5X checkpoint folder, a GGUF file, a bundled
            model such as "bundled:nano", or a Hub name, OWNER/REPO or of a GGUF file
            OWNER/REPO/FILE.gguf. From the Hub only JSON, safetensors, vocabulary files
            and this file are fetched, into its cache.
        revision: Branch, tag or commit of the Hub repository.
        vocabulary: Path of `spiece.model`, or of a folder with `tokenizer.json`, or
            with `vocab.json` and `merges.txt`, or of a GGUF file, where the checkpoint
            has none or another is wanted.

    Returns:
        The checkpoint, for `load`.

    Raises:
        FileNotFoundError: If there is no such folder and the Hub does not help, or if
            the folder lacks a file.
        ValueError: If the files are those of no family that can be read.
    """
    if vocabulary is not None and not Path(vocabulary).exists():
        raise FileNotFoundError(
            f"no vocabulary at {quoted_path(vocabulary)}: name one that is there by "
            "--gin.VOCABULARY, or with None take the one beside the model"
        )
    file = Path(name).expanduser()
    form = _format_of(file)
    if form is not None and not file.is_dir():
        if not file.exists() and hub.is_file_name(str(name)):
            file, commit = hub.fetch_file(str(name), revision)
            found = _open_file(form, file, None, vocabulary)
            return dataclasses.replace(found, name=str(name), revision=commit)
        return _open_file(form, file, revision, vocabulary)
    folder, commit = _find_folder(str(name), revision)
    _check_no_gguf(folder)
    form = _format_of(folder)
    if form is not None:
        checkpoint = form.open(folder)
    else:
        checkpoint = hugging_face.open_checkpoint(folder, str(name), commit)
    return dataclasses.replace(
        checkpoint,
        name=str(name) if commit or is_bundled(name) else folder.resolve().name,
        revision=commit,
        vocabulary=vocabulary or checkpoint.vocabulary or _find_vocabulary(folder),
    )


def is_here(name: str) -> bool:
    """Tells whether a name is of a bundled model, a folder or a file of weights.

    Args:
        name: What may be a Hub name.
    """
    if is_bundled(name):
        return True
    # Not Path.is_dir, which fails on a name that is too long.
    place = os.path.expanduser(name)
    if os.path.isdir(place):
        return True
    return _format_of(Path(place)) is not None and os.path.isfile(place)


def find_here(name: str) -> Checkpoint | None:
    """Finds a bundled model, a folder or a GGUF file; None if a name is none of them.

    Args:
        name: What may be a Hub name, which is then not asked for.

    Raises:
        FileNotFoundError: As `find_checkpoint`.
        ValueError: As `find_checkpoint`.
    """
    return find_checkpoint(name) if is_here(name) else None


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
) -> tuple[Backbone, Params]:
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
        unroll: Compile each layer on its own; see the backbone's own attribute.

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
) -> Backbone:
    """Makes the functions of a checkpoint, with its fingerprints, but no weights yet.

    The first time, that reads the whole checkpoint; its fingerprints are then kept in
    ~/.cache/jaxprompt/fingerprints for as long as its files do not change.

    Args:
        checkpoint: From `find_checkpoint`.
        dtype: "float32" or "bfloat16", to compute in.
        dropout: Share of features to drop where a `dropout_key` is given.
        remat: What the backward pass computes again; see `options.Remat`.
        unroll: Compile each layer on its own; see the backbone's own attribute.

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


def with_fingerprint(backbone: Backbone, params: Params) -> Backbone:
    """Returns the backbone with the fingerprints of these weights, as of a checkpoint.

    Args:
        backbone: The functions.
        params: Its weights, in memory; cast to another dtype, they hash otherwise.
    """
    family = family_of(backbone.config)
    sources = family.hugging_face.layout(backbone.config, None).sources

    def leaf_of(path: tuple[Any, ...], value: jax.Array) -> Leaf:
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        own = value[: len(value) - sources[name].padding]
        return Leaf(name, own.shape, lambda: [np.asarray(jax.device_get(own))])

    leaves = [leaf_of(*item) for item in jax.tree.leaves_with_path(params)]
    return dataclasses.replace(
        backbone,
        fingerprint=fingerprint(leaves),
        first_fingerprint=first_fingerprint(leaves, family.first_leaves),
    )


def _format_of(path: Path) -> WeightFormat | None:
    """Returns the format of a file or folder; None for a Hugging Face folder."""
    return next((form for form in FORMATS if form.is_one(path)), None)


def _open_file(
    form: WeightFormat, path: Path, revision: str | None, vocabulary: str | None
) -> Checkpoint:
    if revision is not None:
        raise ValueError(
            f"revision {revision!r} given, but {quoted_path(path)} is a file: leave it "
            "out"
        )
    checkpoint = form.open(path)
    return dataclasses.replace(
        checkpoint,
        name=path.resolve().name,
        vocabulary=vocabulary or checkpoint.vocabulary,
    )


def _check_no_gguf(folder: Path) -> None:
    """Refuses a folder of GGUF files alone: which of them is meant is not known."""
    if (folder / "config.json").is_file() or _format_of(folder) is not None:
        return
    files = sorted(path.name for path in folder.iterdir() if is_gguf(path))
    if files:
        raise ValueError(
            f"{quoted_path(folder)} holds no config.json but GGUF files: name one of "
            f"them, {listed(files)}, with its folder"
        )


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
        hint = path_hint(str(folder))
        raise FileNotFoundError(f"no model folder at {quoted_path(name)}{hint}")
    return hub.fetch_folder(name, revision)


def _find_vocabulary(folder: Path) -> str | None:
    fast = (folder / "tokenizer.json").is_file()
    if not fast and (folder / "spiece.model").is_file():
        return str(folder / "spiece.model")
    merged = all((folder / name).is_file() for name in ("vocab.json", "merges.txt"))
    alone = any(
        (folder / name).is_file() for name in ("vocab.txt", "sentencepiece.bpe.model")
    )
    return str(folder) if fast or merged or alone else None
