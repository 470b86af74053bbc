"""Norms: of the root mean square alone, or with mean and offset; in float32."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.models.layers.kinds import NormKind


def rms_norm(
    x: Float[Array, "*B D"], scale: Float[Array, " D"], epsilon: float
) -> Float[Array, "*B D"]:
    """Divides by the root mean square, in float32; no mean, no offset.

    Source: Zhang and Sennrich 2019, eq. 4 (arXiv:1910.07467).
    """
    x_f32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x_f32), axis=-1, keepdims=True)
    normed = x_f32 * jax.lax.rsqrt(mean_square + epsilon)
    scale_f32 = scale.astype(jnp.float32).reshape((1,) * (x.ndim - 1) + (-1,))
    return (normed * scale_f32).astype(x.dtype)


def layer_norm(
    x: Float[Array, "B T D"],
    scale: Float[Array, " D"],
    bias: Float[Array, " D"] | None,
    epsilon: float,
) -> Float[Array, "B T D"]:
    """Takes the mean away and divides by the standard deviation, in float32.

    Source: Ba et al. 2016, eq. 3 and 4 (arXiv:1607.06450).
    """
    x_f32 = x.astype(jnp.float32)
    centred = x_f32 - jnp.mean(x_f32, axis=-1, keepdims=True)
    variance = jnp.mean(jnp.square(centred), axis=-1, keepdims=True)
    normed = centred * jax.lax.rsqrt(variance + epsilon)
    scaled = normed * scale.astype(jnp.float32)[None, None, :]
    if bias is not None:
        scaled = scaled + bias.astype(jnp.float32)[None, None, :]
    return scaled.astype(x.dtype)


def normalise(
    kind: NormKind,
    x: Float[Array, "*B D"],
    weights: Mapping[str, Float[Array, " D"]],
    epsilon: float,
) -> Float[Array, "*B D"]:
    """Normalises the last axis.

    Args:
        kind: Which norm; only "rms" and "rms_plus_one" take other than three axes.
        x: What to normalise.
        weights: "scale" and, of a layer norm, "bias".
        epsilon: Added to the variance, or to the mean square.
    """
    scale = weights["scale"]
    if kind in ("layer", "layer_unbiased"):
        bias = weights["bias"] if kind == "layer" else None
        return layer_norm(x, scale, bias, epsilon)
    if kind == "rms_plus_one":
        scale = 1.0 + scale.astype(jnp.float32)
    return rms_norm(x, scale, epsilon)


class Norm(nn.Module):
    """A norm over the last axis, with its weights; new ones change nothing.

    Attributes:
        kind: Which norm.
        width: Size of the last axis.
        epsilon: Added to the variance, or to the mean square.
    """

    kind: NormKind
    width: int
    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "*B D"]) -> Float[Array, "*B D"]:
        """Normalises every token by itself."""
        zeros, ones = nn.initializers.zeros, nn.initializers.ones
        start = zeros if self.kind == "rms_plus_one" else ones
        weights = {"scale": self.param("scale", start, (self.width,))}
        if self.kind == "layer":
            weights["bias"] = self.param("bias", zeros, (self.width,))
        return normalise(self.kind, x, weights, self.epsilon)
