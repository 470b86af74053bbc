"""How the devices of a run compute its model: how precisely they multiply."""

import os

import jax

from jaxprompt.config.settings import Model
from jaxprompt.models.options import precision_in_force
from jaxprompt.sharding import platform_of

_VARIABLE = "JAX_DEFAULT_MATMUL_PRECISION"


def precision_of(settings: Model, mesh: jax.sharding.Mesh) -> str | None:
    """Returns what a model's float32 products are computed in.

    Args:
        settings: Of the model.
        mesh: The devices that it lives on.

    Returns:
        A name of `options.PASSES`, or what JAX_DEFAULT_MATMUL_PRECISION says, which
        wins; None where there is nothing to choose.
    """
    wanted = precision_in_force(settings.precision, settings.dtype, platform_of(mesh))
    return wanted and os.environ.get(_VARIABLE, wanted)


def use_precision(settings: Model, mesh: jax.sharding.Mesh) -> None:
    """Has JAX compute float32 products as precisely as a model's settings say.

    This holds for the process, for all that is traced from now on: heads, and the
    gradients of prompts too. A CPU multiplies as it did.

    Args:
        settings: Of the model.
        mesh: The devices that it lives on.
    """
    if platform_of(mesh) != "cpu" and _VARIABLE not in os.environ:
        precision = precision_of(settings, mesh)
        jax.config.update("jax_default_matmul_precision", precision)


def tell_computing(settings: Model, mesh: jax.sharding.Mesh) -> str:
    """Says it for a run's first line, as ", float32 products in float32"; or ""."""
    precision = precision_of(settings, mesh)
    return f", float32 products in {precision}" if precision else ""
