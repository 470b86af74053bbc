"""Reparametrisations by name: what trains in a prompt's place, a file for each."""

from collections.abc import Callable, Mapping

import jax

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.reparametrise.residual_mlp import residual_mlp
from jaxprompt.prompts.trained import Trained

NONE = "none"
"""The identity: the prompt itself trains."""


def _identity(key: jax.Array, prompt: Prompt) -> Trained:
    del key
    return prompt


REPARAMETRISATIONS: Mapping[str, Callable[[jax.Array, Prompt], Trained]] = {
    NONE: _identity,
    "residual_mlp": residual_mlp,
}
"""Name -> from a key, and a bank of one to start from, to what trains."""
