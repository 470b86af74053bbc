"""The whole prompted model as a folder that runs without jaxprompt, by jax.export."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jaxtyping import Array, Int

from jaxprompt.data.vocabulary.files import find_vocabulary, read_vocabulary
from jaxprompt.evaluate.decode import beam, greedy
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.interop.folder import new_folder
from jaxprompt.interop.stablehlo.readme import readme
from jaxprompt.models.backbone import Backbone
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Params, unpacked_batch

PROGRAM, WEIGHTS, README = "predict.stablehlo", "weights.safetensors", "README.md"
PLATFORMS = ("cpu", "cuda", "tpu")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExportedAnswering:
    """How the program answers; see `evaluate.score.make_predict`.

    Attributes:
        method: "greedy", "beam" or "rank".
        inputs: Longest text that the prompt was trained on, in tokens.
        length: Most target tokens L, end-of-sequence included.
        beams: Sequences that "beam" keeps.
        alpha: Its brevity penalty.
        labels: Label words in class order, for "rank".
        label_ids: Their tokens, [C, L].
    """

    method: str
    inputs: int
    length: int
    beams: int = 4
    alpha: float = 0.6
    labels: tuple[str, ...] = ()
    label_ids: Int[np.ndarray, "C L"] | None = None


def write_program(
    path: Path,
    backbone: Backbone,
    params: Params,
    answering: ExportedAnswering,
    provenance: Provenance,
    text_format: str = "",
) -> None:
    """Writes the folder, at once: program, weights, vocabulary and a README.

    The program is `predict(weights, inputs)`: from the tensors of the weights' file and
    text ids [B, T] of any B and T, end-of-sequence behind each text and 0 on padding,
    to target ids [B, L], 0 behind the end, or with "rank" to the log-probabilities of
    the labels [B, C]. It puts the soft tokens in front by itself.

    Args:
        path: The folder; one that is there is replaced, unless it holds other files.
        backbone: The frozen model's functions; it has a vocabulary.
        params: The joined tree; see `shapes.Params`. A bank of one.
        answering: How to answer.
        provenance: Where the prompt comes from; kept in the weights' header.
        text_format: A sentence on how an input text is written, for the README.

    Raises:
        FileNotFoundError: If the parent folder does not exist.
        ValueError: If the folder holds other files.
    """
    vocabulary, pieces = vocabulary_file(backbone)
    tensors = flatten(params)
    program = export_program(backbone, params, answering)
    header = {"jaxprompt": json.dumps(dataclasses.asdict(provenance), sort_keys=True)}
    text = readme(
        provenance,
        params["prompt"].told,
        method=answering.method,
        inputs=answering.inputs,
        labels=answering.labels,
        vocabulary=vocabulary,
        text_format=text_format,
    )
    with new_folder(path, file_names(backbone)) as folder:
        (folder / PROGRAM).write_bytes(program)
        safetensors.numpy.save_file(
            {name: np.ascontiguousarray(x) for name, x in tensors.items()},
            folder / WEIGHTS,
            metadata=header,
        )
        (folder / vocabulary).write_bytes(pieces)
        (folder / README).write_text(text, encoding="utf-8")


def file_names(backbone: Backbone) -> set[str]:
    """Returns the names of the files that `write_program` writes."""
    return {PROGRAM, WEIGHTS, README, vocabulary_file(backbone)[0]}


def vocabulary_file(backbone: Backbone) -> tuple[str, bytes]:
    """Makes a file that alone is the backbone's vocabulary.

    Returns:
        ("tokenizer.json", its content) of a model's own tokenizer, with its added
        tokens, and without truncation and padding; ("spiece.model", its content) where
        the vocabulary is a SentencePiece model that lies alone.

    Raises:
        FileNotFoundError: If the backbone has no vocabulary.
    """
    if backbone.vocabulary is None:
        raise FileNotFoundError(
            "the model has no spiece.model or tokenizer.json: give one"
        )
    path = find_vocabulary(backbone.vocabulary)
    pieces = read_vocabulary(path.absolute())
    if pieces.tokenizer_json is not None:
        return "tokenizer.json", pieces.tokenizer_json().encode()
    return "spiece.model", path.read_bytes()


def flatten(params: Params) -> dict[str, Any]:
    """Names the leaves of a tree by their paths, as "model/encoder/final_norm"."""
    leaves = jax.tree_util.tree_leaves_with_path(params)
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in leaves
    }


def export_program(
    backbone: Backbone, params: Params, answering: ExportedAnswering
) -> bytes:
    """Serialises the program; see `write_program`.

    Args:
        backbone: The frozen model's functions.
        params: The joined tree; only its shapes and dtypes are read.
        answering: How to answer.

    Returns:
        What `jax.export.deserialize` reads, for one device of each of `PLATFORMS`.
    """
    # The program is for one device, wherever the weights are spread now.
    backbone = dataclasses.replace(backbone, mesh=None, attention="chunked")
    names, structure = list(flatten(params)), jax.tree.structure(params)
    soft_ids = prefix(backbone.vocab_rows, params["prompt"].length)

    def answer(params: Params, text_ids: Int[Array, " T"]) -> Array:
        # Padding stays behind the text. It is T5's own, whose id 0 no text has.
        text_ids = jnp.where(text_ids == 0, NO_TOKEN, text_ids)
        ids = jnp.concatenate([jnp.asarray(soft_ids), text_ids])[None]
        batch = unpacked_batch(ids, np.full((1, answering.length), NO_TOKEN))
        if answering.method == "rank":
            label_ids = jnp.asarray(answering.label_ids)
            scores = rank_labels(backbone, params, batch, label_ids)
            return scores.reshape(len(answering.labels))
        if answering.method == "beam":
            options = {"beams": answering.beams, "alpha": answering.alpha}
            found, _ = beam(backbone, params, batch, length=answering.length, **options)
        else:
            found = greedy(backbone, params, batch, length=answering.length)
        return jnp.maximum(found[0], 0)

    def predict(weights: dict[str, Array], inputs: Int[Array, "B T"]) -> Array:
        params = jax.tree.unflatten(structure, [weights[name] for name in names])
        # One row at a time under vmap: the model takes len() of its batch, which no
        # symbolic size has. It costs nothing: the rows are one axis again in XLA.
        return jax.vmap(lambda row: answer(params, row))(inputs)

    shapes = {
        name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)
        for name, leaf in flatten(params).items()
    }
    inputs = jax.ShapeDtypeStruct(jax.export.symbolic_shape("B, T"), jnp.int32)
    # Or a GPU would give other answers than the machine that exports.
    precision = "float32" if backbone.dtype == "float32" else None
    with jax.default_matmul_precision(precision):
        exported = jax.export.export(jax.jit(predict), platforms=PLATFORMS)(
            shapes, inputs
        )
    return bytes(exported.serialize())
