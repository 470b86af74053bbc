"""The kinds of layers, by the names that configs give them; no array is made here."""

from typing import Literal, NamedTuple, TypeAlias

from jaxprompt.models.layers.rotary import Rotary

Activation: TypeAlias = Literal["relu", "gelu", "gelu_new", "silu"]
"""The activations of published models, by the names that Hugging Face configs use."""

NormKind: TypeAlias = Literal["layer", "layer_unbiased", "rms", "rms_plus_one"]
"""What a model's norms are: layer norm, with a bias or without; the root mean square;
or that with a scale of one plus the weights, as in Gemma."""


class LayerKind(NamedTuple):
    """What differs between the layers of one stack.

    Attributes:
        rotary: How its queries and keys turn; None where they do not.
        window: How many tokens up to itself a token sees, itself among them, and where
            it sees what is behind it, as many from itself on; None for all.
    """

    rotary: Rotary | None = None
    window: int | None = None
