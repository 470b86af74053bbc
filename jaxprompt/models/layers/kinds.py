"""The kinds of layers, by the names that configs give them; no array is made here."""

from typing import Literal, TypeAlias

Activation: TypeAlias = Literal["relu", "gelu", "gelu_new", "silu"]
"""The activations of published models, by the names that Hugging Face configs use."""

NormKind: TypeAlias = Literal["layer", "rms", "rms_plus_one"]
"""What a model's norms are: layer norm; the root mean square; or that with a scale of
one plus the weights, as in Gemma."""
