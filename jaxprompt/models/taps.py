"""Taps on a frozen model: which neurons a pass switches on, and switching some off.

A neuron is one feature in the middle of a layer's feed-forward. It works on any model
of this project, as all of them are made of one kind of feed-forward layer.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from jaxprompt.models.layers.dense import affine
from jaxprompt.models.layers.feed_forward import FeedForward
from jaxprompt.models.quantise import Int8Matrix
from jaxprompt.shapes import Params

_DOWN = "ffn", "down"
"""Where a layer's matrix [F, D] behind its neurons stands in a tree of weights."""


def neurons_read(run: Callable[[], Any]) -> list[Float[Array, "B T F"]]:
    """Runs a model, and returns what goes into the activation of each layer.

    That is the gate's product where there is a gate. Every activation of
    `layers.feed_forward` is over 0 exactly where this is, but for those that are cut
    off: a neuron is switched on where this is over 0.

    Args:
        run: Applies the model, without rematerialisation, which hides its layers.

    Returns:
        Of each layer in the order in which they are applied.
    """
    found: list[Array] = []

    def record(apply: Callable[..., Any], args: Any, kwargs: Any, context: Any) -> Any:
        module = context.module
        if isinstance(module, FeedForward) and context.method_name == "__call__":
            weights = module.variables["params"]
            name = "gate" if module.gated else "up"
            found.append(affine(args[0], weights[name], weights.get(f"{name}_bias")))
        return apply(*args, **kwargs)

    # A loop over layers is then one of Python's, whose values can be kept, also while
    # the whole is compiled.
    with jax.disable_jit(), nn.intercept_methods(record):
        run()
    return found


def neuron_layers(model: Params) -> tuple[int, int]:
    """Returns the layers N and the neurons F of each that the answer comes from.

    Of an encoder-decoder they are the decoder's.
    """
    layers, width, _ = _down(model)[1].shape
    return layers, width


def switch_off(model: Params, neurons: Bool[np.ndarray, "N F"]) -> Params:
    """Returns a model some of whose neurons give nothing, whatever they read.

    Args:
        model: The weights; they stay as they are.
        neurons: Of each layer, those to switch off; of an encoder-decoder, of its
            decoder.

    Raises:
        ValueError: If they are not those of this model, or it is quantised.
    """
    path, down = _down(model)
    if isinstance(down, Int8Matrix):
        raise ValueError(
            "neurons of an int8 model: load it as float, as --gin.QUANTISE=none"
        )
    if neurons.shape != down.shape[:2]:
        raise ValueError(
            f"neurons {list(neurons.shape)} for a model of {list(down.shape[:2])}: "
            "give one for each neuron of each layer"
        )
    kept = jnp.asarray(~neurons, down.dtype)[:, :, None]
    return _replaced(model, path, down * kept)


def _down(model: Params) -> tuple[tuple[str, ...], Any]:
    """Finds the matrices [N, F, D] of the layers that an answer comes from."""
    path = ("decoder",) if "decoder" in model else ()
    path = (*path, "layers", *_DOWN)
    leaf: Any = model
    for name in path:
        leaf = leaf[name]
    return path, leaf


def _replaced(tree: Params, path: tuple[str, ...], leaf: Any) -> Params:
    name, *rest = path
    new = _replaced(tree[name], tuple(rest), leaf) if rest else leaf
    return {**tree, name: new}
