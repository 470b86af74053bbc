"""Writes a model as a Hugging Face folder: config.json, safetensors, its vocabulary."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors.numpy

from jaxprompt.files.atomic import write_folder
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.families import family_of
from jaxprompt.models.quantise import Int8Matrix
from jaxprompt.models.weights.checkpoint import shapes_of
from jaxprompt.models.weights.gguf_head import is_gguf
from jaxprompt.models.weights.source import TensorSource
from jaxprompt.shapes import Params

_TOKENIZERS = (
    "spiece.model",
    "tokenizer.json",
    "vocab.json",
    "merges.txt",
    "vocab.txt",
    "sentencepiece.bpe.model",
)
_TOKENIZER_SETTINGS = (
    "tokenizer_config.json",
    "chat_template.jinja",
    "chat_template.json",
    "added_tokens.json",
    "special_tokens_map.json",
)


def save(folder: str | Path, backbone: Backbone, params: Params) -> None:
    """Writes a folder that `load` and PyTorch transformers read; all or nothing.

    transformers before version 5 cannot tell a tied, unscaled model (what version 5
    makes of a 1.1 config) from T5 1.0: read such a folder with version 5.

    Args:
        folder: The folder to make.
        backbone: Its config is written; its vocabulary is copied where it has one.
        params: Weights, in the dtype to write.

    Raises:
        FileExistsError: If the folder is there already.
        ValueError: If the params are not those of this backbone, or int8.
    """
    folder = Path(folder)
    if isinstance(params["embedding"], Int8Matrix):
        raise ValueError(
            "int8 weights cannot be saved: load the model with quantise='none'"
        )
    sizes, expected = _sizes(params), _sizes(shapes_of(backbone.config))
    if sizes != expected:
        wrong = sorted(path for path, _ in sizes.items() ^ expected.items())
        raise ValueError(f"params do not fit {backbone.name}: see {wrong[0]}")
    if folder.exists() or folder.is_symlink():
        raise FileExistsError(f"{folder} is there already: save to a new folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with write_folder(folder) as scratch:
        form = family_of(backbone.config).hugging_face
        settings = form.write_config(backbone.config, str(params["embedding"].dtype))
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        (scratch / "config.json").write_text(text, encoding="utf-8")
        safetensors.numpy.save_file(
            _tensors(form.layout(backbone.config, None).sources, params),
            scratch / "model.safetensors",
            metadata={"format": "pt"},
        )
        if backbone.vocabulary and is_gguf(Path(backbone.vocabulary)):
            _write_tokenizer(Path(backbone.vocabulary), scratch)
            return
        for source, name in _vocabulary_files(backbone.vocabulary):
            shutil.copyfile(source, scratch / name)


def _write_tokenizer(path: Path, folder: Path) -> None:
    """Writes the vocabulary of a GGUF file as a Hugging Face folder has it."""
    # Imported here, as only such a file needs it.
    from jaxprompt.models.weights.gguf_tokenizer import read_tokenizer

    read = read_tokenizer(path)
    ids = {
        "bos_token": read.begin,
        "eos_token": read.ends[0] if read.ends else None,
        "unk_token": read.unknown,
        "pad_token": read.pad,
    }
    settings = {name: read.tokens[x] for name, x in ids.items() if x is not None}
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if read.chat_template is not None:
        settings["chat_template"] = read.chat_template
    text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    read.tokenizer.save(str(folder / "tokenizer.json"))


def _vocabulary_files(vocabulary: str | None) -> list[tuple[Path, str]]:
    """Lists the files of a vocabulary, and their names in a Hugging Face folder."""
    if vocabulary is None:
        return []
    path = Path(vocabulary)
    if path.is_file():
        named = {".json": "tokenizer.json", ".txt": "vocab.txt"}
        name = named.get(path.suffix, "spiece.model")
        beside = [(path.with_name(name), name) for name in _TOKENIZER_SETTINGS]
        return [(path, name), *((at, name) for at, name in beside if at.is_file())]
    names = (*_TOKENIZERS, *_TOKENIZER_SETTINGS)
    return [(path / name, name) for name in names if (path / name).is_file()]


def _sizes(params: Params) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in leaves
    }


def _tensors(
    sources: Mapping[str, TensorSource], params: Params
) -> dict[str, np.ndarray]:
    """Returns the weights as transformers names and lays them out."""
    # What makes up each tensor, in order: mostly one leaf.
    parts: dict[str, list[np.ndarray]] = {}
    joined_along: dict[str, int] = {}
    in_order = sorted(sources.items(), key=lambda item: item[1].columns or (0,))
    for path, source in in_order:
        leaf: Any = params
        for key in path.split("/"):
            leaf = leaf[key]
        leaf = np.asarray(jax.device_get(leaf))
        for name, part in source.to_store(leaf).items():
            parts.setdefault(name, []).append(part)
            joined_along[name] = 0 if source.transposed else -1
    return {
        name: np.ascontiguousarray(
            some[0] if len(some) == 1 else np.concatenate(some, joined_along[name])
        )
        for name, some in parts.items()
    }
