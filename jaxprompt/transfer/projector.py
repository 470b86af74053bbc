"""A network that maps prompts of one model to prompts of another."""

import dataclasses
import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.shapes import Params

EPSILON = 1e-5
"""Of the layer norm. Source: PyTorch's `LayerNorm`, which the original uses."""

SLOPE = 0.01
"""Of the leaky ReLU below 0. Source: PyTorch's `LeakyReLU`."""

ACTIVATIONS = {
    "leaky_relu": lambda x: jnp.where(x > 0, x, SLOPE * x),
    "tanh": jnp.tanh,
}
"""What the original's two versions of the flat network apply in the middle."""

FORMS = ("per_token", "layer", "flat")


@dataclasses.dataclass(frozen=True)
class Projector:
    """The form of a network from prompts [P, D_s] to prompts [P, D_t].

    "per_token" maps each soft token by an MLP of one hidden layer, and norms what comes
    out. "layer" is one matrix and an activation behind it. "flat" maps the whole prompt
    as one vector by an MLP, and norms each token of what comes out: for RoBERTa-base to
    large it has 138 million weights, more than the smaller model.

    Attributes:
        form: One of `FORMS`.
        length: Soft tokens P.
        source_width: Model width D_s of the prompts that are given.
        target_width: Model width D_t of the prompts that are made.
        hidden_width: Width in the middle; none of "layer".
        activation: One of `ACTIVATIONS`.
        normed: Whether a layer norm with a scale and a bias ends it; never of "layer".
        gain: What the layer norm's result is multiplied by. With 1, as in the original,
            each soft token begins sqrt(D_t) long: 24 for SmolLM2-135M, whose words are
            3 long.

    Raises:
        ValueError: If the form or the activation is unknown.

    Source: Su et al. 2022, sec. 4.2 (arXiv:2111.06719), and of their repository the
    classes `AE_1_layer_mutiple_100` ("flat") and `AE_0_layer` ("layer").
    """

    form: str
    length: int
    source_width: int
    target_width: int
    hidden_width: int = 768
    activation: str = "leaky_relu"
    normed: bool = True
    gain: float = 1.0

    def __post_init__(self) -> None:
        if self.form not in FORMS:
            raise ValueError(f"unknown projector {self.form!r}: use one of {FORMS}")
        if self.activation not in ACTIVATIONS:
            raise ValueError(
                f"unknown activation {self.activation!r}: use one of "
                f"{', '.join(ACTIVATIONS)}"
            )

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]:
        """Name of each weight -> its shape."""
        whole = self.length if self.form == "flat" else 1
        into, out = whole * self.source_width, whole * self.target_width
        if self.form == "layer":
            return {"weight": (into, out), "bias": (out,)}
        hidden = self.hidden_width
        shapes: dict[str, tuple[int, ...]] = {
            "into": (into, hidden),
            "into_bias": (hidden,),
            "out": (hidden, out),
            "out_bias": (out,),
        }
        if self.normed:
            shapes |= {"scale": (self.target_width,), "shift": (self.target_width,)}
        return shapes

    @property
    def size(self) -> int:
        """How many weights it has."""
        return sum(map(math.prod, self.shapes.values()))

    def init(self, key: jax.Array) -> Params:
        """Draws its weights, float32: matrices and biases as PyTorch's `Linear` does.

        Source: He et al. 2015 with a = sqrt(5), uniform between -1/sqrt(inputs) and
        1/sqrt(inputs), as `torch.nn.Linear.reset_parameters`.
        """
        keys = jax.random.split(key, len(self.shapes))
        params: dict[str, jax.Array] = {}
        for one, (name, shape) in zip(keys, self.shapes.items(), strict=True):
            if name in ("scale", "shift"):
                params[name] = jnp.full(shape, float(name == "scale"))
                continue
            matrix = name.removesuffix("_bias") if name != "bias" else "weight"
            bound = self.shapes[matrix][0] ** -0.5
            params[name] = jax.random.uniform(one, shape, minval=-bound, maxval=bound)
        return params

    def apply(
        self, params: Params, rows: Float[Array, "M P D"]
    ) -> Float[Array, "M P E"]:
        """Maps the soft tokens of M prompts to those of the target's width E.

        Raises:
            ValueError: If the prompts are not of this length and width.
        """
        members, *shape = rows.shape
        if tuple(shape) != (self.length, self.source_width):
            raise ValueError(
                f"prompts [P, D] = {shape} for a projector of "
                f"{[self.length, self.source_width]}: use prompts of one length, for "
                "the model that it starts from"
            )
        activate = ACTIVATIONS[self.activation]
        if self.form == "layer":
            return activate(_affine(rows, params["weight"], params["bias"]))
        x = rows.reshape(members, -1) if self.form == "flat" else rows
        x = activate(_affine(x, params["into"], params["into_bias"]))
        x = _affine(x, params["out"], params["out_bias"])
        x = x.reshape(members, self.length, self.target_width)
        if not self.normed:
            return x
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        unit = centred * jax.lax.rsqrt(variance + EPSILON)
        ended = unit * params["scale"][None, None] + params["shift"][None, None]
        return self.gain * ended


def _affine(
    x: Float[Array, "... D"], weight: Float[Array, "D E"], bias: Float[Array, " E"]
) -> Float[Array, "... E"]:
    return x @ weight + bias.reshape((1,) * (x.ndim - 1) + (-1,))
