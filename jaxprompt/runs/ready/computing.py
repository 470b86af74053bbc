"""How a run computes its model: in which form it attends, how it multiplies."""

import os

import jax

from jaxprompt.config.settings import Model
from jaxprompt.models.attention_form import AttentionForm, choose_form, device_of
from jaxprompt.models.config import Config
from jaxprompt.models.options import precision_in_force
from jaxprompt.models.product import ROUNDED

_VARIABLE = "JAX_DEFAULT_MATMUL_PRECISION"


def attention_of(
    settings: Model, config: Config, mesh: jax.sharding.Mesh
) -> AttentionForm:
    """Returns the form that a model's attention has on its devices.

    Args:
        settings: Of the model.
        config: Its sizes.
        mesh: The devices that it lives on.

    Raises:
        ValueError: If the settings ask for a form that is not able to; it says why.
    """
    return choose_form(
        settings.attention,
        config.attention_needs,
        dtype=settings.dtype,
        device=device_of(mesh.devices.flat[0]),
    )


def precision_of(settings: Model, mesh: jax.sharding.Mesh) -> str | None:
    """Returns what a model's float32 products are computed in.

    Args:
        settings: Of the model.
        mesh: The devices that it lives on.

    Returns:
        JAX's name of it, or what JAX_DEFAULT_MATMUL_PRECISION says, which
        wins; None where there is nothing to choose.
    """
    platform = device_of(mesh.devices.flat[0]).platform
    wanted = precision_in_force(settings.precision, settings.dtype, platform)
    return wanted and os.environ.get(_VARIABLE, wanted)


def use_precision(settings: Model, mesh: jax.sharding.Mesh) -> None:
    """Has JAX compute float32 products as precisely as a model's settings say.

    This holds for the process, for all that is traced from now on: on GPUs and TPUs
    heads and the gradients of prompts too, on CPUs products with a model's matrices
    (see `models.product`).

    Args:
        settings: Of the model.
        mesh: The devices that it lives on.
    """
    if _VARIABLE not in os.environ:
        precision = precision_of(settings, mesh)
        jax.config.update("jax_default_matmul_precision", precision)


def tell_computing(settings: Model, config: Config, mesh: jax.sharding.Mesh) -> str:
    """Says it for a run's first line, as "chunked attention"."""
    precision = precision_of(settings, mesh)
    said = "bfloat16" if precision == ROUNDED else precision
    products = f", float32 products in {said}" if said else ""
    return f"{attention_of(settings, config, mesh)} attention{products}"
