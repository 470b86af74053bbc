"""What each parameter of a model is: to the optimizer, to int8 and to the mesh."""

import dataclasses
from collections.abc import Mapping


@dataclasses.dataclass(frozen=True)
class ParameterKind:
    """What a parameter is; the axes are those of `shapes`, N first where stacked.

    Attributes:
        axes: Its axes in order, as "N D F"; empty where they do not matter, as the
            parameter is a vector for each layer, or whole on every device.
        split: The axis that the model axis of a mesh divides; None for none.
        summed: The axis that products with it sum over, for which int8 has one scale;
            None for what is never multiplied as a matrix and stays as it is.
        decays: Whether weight decay applies to it.
    """

    axes: str = ""
    split: str | None = None
    summed: str | None = None
    decays: bool = False

    @property
    def summed_axis(self) -> int | None:
        """The axis `summed`, counted from the end, as -1."""
        if self.summed is None:
            return None
        axes = self.axes.split()
        return axes.index(self.summed) - len(axes)


TABLE = ParameterKind("V D", split="V", summed="D", decays=True)
"""The embedding table."""

OUTPUT = ParameterKind("D V", split="V", summed="D", decays=True)
"""An output matrix of its own."""

INTO = ParameterKind("N D F", split="F", summed="D", decays=True)
"""A matrix from the model's width into heads, or into the feed-forward layer."""

OUT_OF = ParameterKind("N F D", split="F", summed="F", decays=True)
"""A matrix from heads, or from the feed-forward layer, back to the model's width."""

POSITIONS = ParameterKind("S D", decays=True)
"""A table of positions, or of token types, which is added."""

NORM = ParameterKind()
"""The scale or the bias of a norm."""

BIAS = ParameterKind()
"""What is added to a product, or to the scores of attention."""

PROMPT = ParameterKind(decays=True)
"""What trains beside a model: small, so every device holds all of it."""

_MATRICES = {
    **dict.fromkeys(("query", "key", "value", "gate", "up"), INTO),
    **dict.fromkeys(("out", "down"), OUT_OF),
}

T5: Mapping[str, ParameterKind] = {
    "embedding": TABLE,
    "logits": OUTPUT,
    "relative_bias": BIAS,
    **dict.fromkeys(("attention_norm", "cross_norm", "ffn_norm", "final_norm"), NORM),
    **_MATRICES,
}
"""Every parameter of a T5, by the end of its path."""

DECODER: Mapping[str, ParameterKind] = {
    "embedding": TABLE,
    "unembedding": TABLE,
    "positions": POSITIONS,
    **{
        f"{norm}/{part}": NORM
        for norm in (
            "attention_norm",
            "attention_out_norm",
            "ffn_norm",
            "ffn_out_norm",
            "final_norm",
            "query_norm",
            "key_norm",
        )
        for part in ("scale", "bias")
    },
    **_MATRICES,
    **{f"{matrix}_bias": BIAS for matrix in _MATRICES},
}
"""Every parameter of a decoder-only model, by the end of its path."""

SQUARE = ParameterKind("D D", decays=True)
"""A matrix behind the layers, of a single state of a text: it stays as it is."""

ENCODER: Mapping[str, ParameterKind] = {
    "embedding": TABLE,
    "positions": POSITIONS,
    "types": POSITIONS,
    **{
        f"{norm}/{part}": NORM
        for norm in (
            "embedding_norm",
            "attention_norm",
            "attention_norms",
            "ffn_norm",
            "final_norm",
            "norm",
        )
        for part in ("scale", "bias")
    },
    **_MATRICES,
    **{f"{matrix}_bias": BIAS for matrix in _MATRICES},
    "pooler/weight": SQUARE,
    "pooler/bias": BIAS,
    "fill/weight": SQUARE,
    "fill/bias": BIAS,
    "word_bias": BIAS,
}
"""Every parameter of an encoder-only model, by the end of its path."""

KINDS: Mapping[str, ParameterKind] = {**T5, **DECODER, **ENCODER}
"""Those of all families: one name means one thing in all of them."""


def kind_of(path: str) -> ParameterKind:
    """Returns what a parameter is.

    Args:
        path: Its place in the tree of the params or in the joined tree, as
            "model/encoder/layers/ffn/up".

    Raises:
        ValueError: If no family has such a parameter.
    """
    keys = path.split("/")
    if {"prompt", "head"} & {*keys}:
        return BIAS if keys[-1].endswith("bias") else PROMPT
    for length in (2, 1):
        end = "/".join(keys[-length:])
        if end in KINDS:
            return KINDS[end]
    raise ValueError(
        f"no family has a parameter {path!r}: say what it is in jaxprompt/parameters.py"
    )
