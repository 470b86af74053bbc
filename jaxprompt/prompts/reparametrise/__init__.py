"""Reparametrisations by name: what trains in a prompt's place, a file for each."""

from collections.abc import Callable, Mapping

import jax

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.reparametrise.low_rank import low_rank
from jaxprompt.prompts.reparametrise.lstm import lstm
from jaxprompt.prompts.reparametrise.mlp import mlp
from jaxprompt.prompts.reparametrise.multitask import multitask
from jaxprompt.prompts.reparametrise.residual_mlp import residual_mlp
from jaxprompt.prompts.reparametrise.shared import shared
from jaxprompt.prompts.trained import Trained

NONE, SHARED = "none", "shared"
"""The identity, where the prompt itself trains; and one prompt for a whole bank."""

_OF_ROWS, _OF_KEYS = ("residual_mlp", "lstm"), ("mlp",)


def _identity(key: jax.Array, prompt: Prompt) -> Trained:
    del key
    return prompt


REPARAMETRISATIONS: Mapping[str, Callable[[jax.Array, Prompt], Trained]] = {
    NONE: _identity,
    "residual_mlp": residual_mlp,
    "lstm": lstm,
    "mlp": mlp,
    "low_rank": low_rank,
    "multitask": multitask,
    SHARED: shared,
}
"""Name -> from a key, and a bank of one to start from, to what trains."""

SHARING = ("multitask", SHARED)
"""Those of which the members of a bank learn from each other."""


def check_reparametrisation(name: str, *, rows: int, deep: int) -> None:
    """Refuses a reparametrisation that is unknown, or has nothing to do.

    Args:
        name: Of one of `REPARAMETRISATIONS`.
        rows: Soft tokens.
        deep: Sites with keys and values.

    Raises:
        ValueError: If it is neither.
    """
    if name not in REPARAMETRISATIONS:
        raise ValueError(
            f"unknown reparametrisation {name!r}: use one of {list(REPARAMETRISATIONS)}"
        )
    if name in _OF_ROWS and not rows:
        raise ValueError(
            f"reparametrisation {name!r} is of soft tokens, but the prompt length is "
            "0: use 1 or more"
        )
    if name in _OF_KEYS and not deep:
        raise ValueError(
            f"reparametrisation {name!r} is of keys and values, but PromptStart.deep "
            "is empty: name a site, as {'decoder': 20}"
        )
