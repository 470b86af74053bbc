"""Norms: of the root mean square alone, or with mean and offset; in float32."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def rms_norm(
    x: Float[Array, "B T D"], scale: Float[Array, " D"], epsilon: float
) -> Float[Array, "B T D"]:
    """Divides by the root mean square, in float32; no mean, no offset.

    Source: Zhang and Sennrich 2019, eq. 4 (arXiv:1910.07467).
    """
    x_f32 = x.astype(jnp.float32)
    mean_square = jnp.mean(jnp.square(x_f32), axis=-1, keepdims=True)
    normed = x_f32 * jax.lax.rsqrt(mean_square + epsilon)
    return (normed * scale.astype(jnp.float32)[None, None, :]).astype(x.dtype)


def layer_norm(
    x: Float[Array, "B T D"],
    scale: Float[Array, " D"],
    bias: Float[Array, " D"],
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
    return (scaled + bias.astype(jnp.float32)[None, None, :]).astype(x.dtype)


class LayerNorm(nn.Module):
    """Layer norm, with its scale and its bias [D]."""

    width: int
    epsilon: float

    @nn.compact
    def __call__(self, x: Float[Array, "B T D"]) -> Float[Array, "B T D"]:
        """Normalises every token by itself."""
        scale = self.param("scale", nn.initializers.ones, (self.width,))
        bias = self.param("bias", nn.initializers.zeros, (self.width,))
        return layer_norm(x, scale, bias, self.epsilon)
