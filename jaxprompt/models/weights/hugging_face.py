"""T5 and GPT-2 in Hugging Face folders: config.json and safetensors, in and out."""

import json
import shlex
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy

from jaxprompt.atomic import write_folder
from jaxprompt.json_file import read_json_object
from jaxprompt.models.architecture import Config
from jaxprompt.models.gpt2 import GPT2
from jaxprompt.models.gpt2_config import GPT2Config
from jaxprompt.models.quantise import Int8Matrix
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.models.weights import hugging_face_gpt2
from jaxprompt.models.weights.checkpoint import Checkpoint, read_chunks, shapes_of
from jaxprompt.models.weights.hugging_face_config import (
    read_config,
    settings_of,
    sizes_of,
)
from jaxprompt.models.weights.sizes import check_sizes
from jaxprompt.models.weights.source import Source, Tensors
from jaxprompt.shapes import Params

_ATTENTION = {"query": "q", "key": "k", "value": "v", "out": "o"}
_EMBEDDING = "shared.weight"
# The same table again, as some files hold it.
_COPIES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
# Left over from TensorFlow in the 1.0 checkpoints; no T5 has ever used it.
_UNUSED = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
_HEAD = "lm_head.weight"
_TOKENIZERS = ("spiece.model", "tokenizer.json", "vocab.json", "merges.txt")
_TOKENIZER_SETTINGS = (
    "tokenizer_config.json",
    "added_tokens.json",
    "special_tokens_map.json",
)


def open_checkpoint(folder: Path, name: str, revision: str | None) -> Checkpoint:
    """Opens a folder of config.json and safetensors.

    Args:
        folder: The folder.
        name: What the user called it, for error messages.
        revision: Commit that the folder is a snapshot of, for error messages.

    Raises:
        FileNotFoundError: If config.json or the weights are not there.
        ValueError: If the config is neither a T5's nor a GPT-2's, a file cannot be
            read, or a tensor is missing, extra or misshapen.
    """
    settings = read_json_object(
        folder / "config.json",
        "give a Hugging Face folder, a T5X checkpoint folder, or a Hub name",
    )
    causal = settings.get("model_type") == "gpt2"
    kind = "AutoModelForCausalLM" if causal else "AutoModelForSeq2SeqLM"
    tensors = _Safetensors(_weight_files(folder, name, revision, kind))
    return (_open_gpt2 if causal else _open_t5)(folder, settings, tensors)


def _open_t5(folder: Path, settings: Mapping[str, Any], tensors: Tensors) -> Checkpoint:
    tied = _HEAD not in tensors.shapes
    config = read_config(settings, folder / "config.json", tied=tied)
    check_sizes(folder / "config.json", *sizes_of(config), tensors)
    sources = sources_of(config)
    copies = [copy for copy in _COPIES if copy in tensors.shapes]
    if _EMBEDDING not in tensors.shapes and copies:
        sources["embedding"] = Source((copies.pop(0),))
    _check_copies(folder, tensors, sources["embedding"].names[0], copies)
    extras = frozenset((*copies, _UNUSED))
    return Checkpoint(folder, config, tensors, sources, extras)


def _open_gpt2(
    folder: Path, settings: Mapping[str, Any], tensors: Tensors
) -> Checkpoint:
    config = hugging_face_gpt2.read_config(settings, folder / "config.json")
    names = tensors.shapes
    prefix = hugging_face_gpt2.prefix_of(names)
    sizes, layers = hugging_face_gpt2.sizes_of(config, prefix)
    check_sizes(folder / "config.json", sizes, layers, tensors)
    sources = hugging_face_gpt2.sources_of(config, prefix)
    copies = [copy for copy in (hugging_face_gpt2.HEAD,) if copy in names]
    (original,) = sources["embedding"].names
    if original in names:
        _check_copies(folder, tensors, original, copies)
    extras = frozenset(copies) | hugging_face_gpt2.buffers(names)
    return Checkpoint(folder, config, tensors, sources, extras)


def sources_of(config: T5Config) -> dict[str, Source]:
    """Returns the names that transformers gives to each leaf of the params."""
    sources = {"embedding": Source((_EMBEDDING,))}
    if not config.tied:
        sources["logits"] = Source((_HEAD,), transposed=True)
    ffn = {"gate": "wi_0", "up": "wi_1"} if config.gated else {"up": "wi"}
    ffn["down"] = "wo"
    for stack, count in (
        ("encoder", config.encoder_layers),
        ("decoder", config.decoder_layers),
    ):

        def per_layer(
            name: str, *, matrix: bool, stack: str = stack, count: int = count
        ) -> Source:
            names = (f"{stack}.block.{n}.layer.{name}.weight" for n in range(count))
            return Source(tuple(names), stacked=True, transposed=matrix)

        parts = {"attention": "SelfAttention", "cross": "EncDecAttention"}
        if stack == "encoder":
            del parts["cross"]
        for place, (ours, theirs) in enumerate(parts.items()):
            at = f"{stack}/layers/{ours}"
            sources[f"{at}_norm"] = per_layer(f"{place}.layer_norm", matrix=False)
            for leaf, letter in _ATTENTION.items():
                name = f"{place}.{theirs}.{letter}"
                sources[f"{at}/{leaf}"] = per_layer(name, matrix=True)
        place, at = len(parts), f"{stack}/layers/ffn"
        sources[f"{at}_norm"] = per_layer(f"{place}.layer_norm", matrix=False)
        for leaf, theirs in ffn.items():
            name = f"{place}.DenseReluDense.{theirs}"
            sources[f"{at}/{leaf}"] = per_layer(name, matrix=True)
        sources[f"{stack}/relative_bias"] = Source(
            (f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight",)
        )
        sources[f"{stack}/final_norm"] = Source((f"{stack}.final_layer_norm.weight",))
    return sources


def save(folder: str | Path, backbone: T5 | GPT2, params: Params) -> None:
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
        settings, sources = _written(backbone.config, str(params["embedding"].dtype))
        text = json.dumps(settings, indent=2, sort_keys=True) + "\n"
        (scratch / "config.json").write_text(text, encoding="utf-8")
        safetensors.numpy.save_file(
            _tensors(sources, params),
            scratch / "model.safetensors",
            metadata={"format": "pt"},
        )
        for source, name in _vocabulary_files(backbone.vocabulary):
            shutil.copyfile(source, scratch / name)


def _written(config: Config, dtype: str) -> tuple[dict[str, Any], dict[str, Source]]:
    """Returns what config.json shall say, and where each leaf shall be stored."""
    if isinstance(config, GPT2Config):
        settings = hugging_face_gpt2.settings_of(config, dtype)
        return settings, hugging_face_gpt2.sources_of(config)
    return settings_of(config, dtype), sources_of(config)


def _vocabulary_files(vocabulary: str | None) -> list[tuple[Path, str]]:
    """Lists the files of a vocabulary, and their names in a Hugging Face folder."""
    if vocabulary is None:
        return []
    path = Path(vocabulary)
    if path.is_file():
        name = "tokenizer.json" if path.suffix == ".json" else "spiece.model"
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


def _tensors(sources: Mapping[str, Source], params: Params) -> dict[str, np.ndarray]:
    """Returns the weights as transformers names and lays them out."""
    # The blocks of columns that make up each tensor, in order; most have one.
    blocks: dict[str, list[np.ndarray]] = {}
    by_block = sorted(sources.items(), key=lambda item: item[1].block)
    for path, source in by_block:
        leaf: Any = params
        for key in path.split("/"):
            leaf = leaf[key]
        leaf = np.asarray(jax.device_get(leaf))
        for name, block in source.to_store(leaf).items():
            blocks.setdefault(name, []).append(block)
    return {
        name: np.ascontiguousarray(
            parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)
        )
        for name, parts in blocks.items()
    }


class _Safetensors:
    """The tensors of one or several .safetensors files, mapped into memory."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files
        self._slices: dict[str, Any] = {}
        for path in files:
            try:
                file = safetensors.safe_open(path, framework="numpy")
            except safetensors.SafetensorError as err:
                raise ValueError(
                    f"{path} is no whole safetensors file ({err}): fetch it again"
                ) from err
            names = file.keys()
            self._slices |= {name: file.get_slice(name) for name in names}
        self.shapes = {
            name: tuple(view.get_shape()) for name, view in self._slices.items()
        }

    def read(self, name: str, index: tuple[slice, ...]) -> np.ndarray:
        return self._slices[name][index]


def _weight_files(
    folder: Path, name: str, revision: str | None, kind: str
) -> list[Path]:
    """Finds the safetensors of a folder: one file, or the shards of an index.

    Where there are none, transformers' class `kind` can convert the pickle.
    """
    single, index = (folder / f"model.safetensors{end}" for end in ("", ".index.json"))
    if single.is_file():
        return [single]
    if index.is_file():
        shards = read_json_object(index, "fetch it again").get("weight_map")
        if not isinstance(shards, dict) or not shards:
            raise ValueError(f"{index} has no weight_map: fetch it again")
        # "..", too, is a name of its own for pathlib.
        strange = [s for s in map(str, shards.values()) if Path(s).name != s]
        if strange:
            raise ValueError(
                f"{index} names {strange[0]!r}, which is not in {folder}: do not trust "
                "this folder, and fetch it again from where it is published"
            )
        files = [folder / shard for shard in sorted(set(map(str, shards.values())))]
        absent = [file.name for file in files if not file.is_file()]
        if absent:
            raise FileNotFoundError(
                f"{folder} lacks {', '.join(absent)}, which {index.name} names: "
                "fetch them again"
            )
        return files
    raise FileNotFoundError(
        f"no model.safetensors in {folder}; a pytorch_model.bin is never read here, as "
        "a pickle can run any code. If there is one, convert it once, where torch and "
        f"transformers are installed: {_conversion(folder, name, revision, kind)}"
    )


def _conversion(folder: Path, name: str, revision: str | None, kind: str) -> str:
    """Returns the shell command that makes safetensors of a pytorch_model.bin.

    transformers reads it by `torch.load(weights_only=True)`, which runs no code.
    """
    target = f"{folder.resolve().name if revision is None else Path(name).name}-safe"
    at = f"'{name}'" if revision is None else f"'{name}', revision='{revision}'"
    saved = f".save_pretrained('{target}')"
    code = (
        f"from transformers import {kind} as M, AutoTokenizer as T; "
        f"M.from_pretrained({at}, use_safetensors=False){saved}"
    )
    if (folder / "spiece.model").is_file():
        copy = shlex.join(["cp", str(folder / "spiece.model"), target])
        return f'python -c "{code}" && {copy}'
    return f'python -c "{code}; T.from_pretrained({at}){saved}"'


def _check_copies(
    folder: Path, tensors: Tensors, original: str, copies: list[str]
) -> None:
    """Raises ValueError unless the copies equal the embedding table, byte for byte."""
    for copy in copies:
        same = tensors.shapes[copy] == tensors.shapes[original] and all(
            ours.tobytes() == theirs.tobytes()
            for ours, theirs in zip(
                read_chunks(tensors, original), read_chunks(tensors, copy), strict=True
            )
        )
        if not same:
            raise ValueError(
                f"{folder}: {copy} differs from {original}, but a model has one "
                "embedding table: save the checkpoint again from one that shares it"
            )
