"""A linear head: it chooses a label for a text, or for each of its words."""

import dataclasses
from typing import Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.heads.head import Scorer, states_at
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.layers.dropout import drop, split_key
from jaxprompt.prompts.join import prompted_states
from jaxprompt.shapes import Batch, Params

Pooling: TypeAlias = Literal["token", "mean"]
"""Which state stands for a text: that of one token, or the mean of all of them."""

Pooler: TypeAlias = Literal["none", "frozen", "trained"]
"""What stands between that state and the labels: nothing; the checkpoint's own pooler,
as it is in the file; or a pooler that trains, from the file's where there is one."""


@dataclasses.dataclass(frozen=True)
class LabelsHead(Scorer):
    """A linear layer over states, one for each member of a bank.

    Its weights are "weight" [M, D, C] and "bias" [M, C]; with a pooler that trains, in
    "pooler" also "weight" [M, D, D] and "bias" [M, D].

    Attributes:
        name: "classes" or "tags".
        count: Labels C.
        pooling: Which state stands for a text: of an encoder-only model "token" is
            [CLS], of any other the last token. Tags are read at the words themselves.
        pooler: What stands between state and labels.
        dropout: Share of the state's features that are zeroed in training.
        stddev: Standard deviation of new weights.

    Source: Devlin et al. 2019, sec. 4.1 and 5.3 (arXiv:1810.04805): tanh of a dense
    layer at [CLS] for a text, the last state for a token; 0.02 is its released code's.
    """

    name: str
    count: int
    pooling: Pooling = "token"
    pooler: Pooler = "none"
    dropout: float = 0.0
    stddev: float = 0.02

    def init(self, key: jax.Array, backbone: Backbone, model: Params) -> Params:
        """Draws the layer; its bias is 0. See `heads.head.Head.init`.

        Raises:
            ValueError: If the pooler is to be the checkpoint's, which has none.
        """
        if self.pooler == "frozen" and "pooler" not in model:
            raise ValueError(
                f"{backbone.name} has no pooler that could be kept as it is: use "
                "--gin.HeadStart.pooler=none, or 'trained' for a new one"
            )
        width = backbone.width
        weight_key, pooler_key = jax.random.split(key)

        def draw(key: jax.Array, columns: int) -> Array:
            return self.stddev * jax.random.normal(key, (1, width, columns))

        params: dict[str, Any] = {
            "weight": draw(weight_key, self.count),
            "bias": jnp.zeros((1, self.count)),
        }
        if self.pooler == "trained":
            own = {"weight": draw(pooler_key, width), "bias": jnp.zeros((1, width))}
            if "pooler" in model:
                own = jax.tree.map(
                    lambda leaf: jnp.asarray(leaf, jnp.float32)[None], model["pooler"]
                )
            params["pooler"] = own
        return params

    def scores(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Float[Array, "B L C"]:
        """Scores every label for each target's place; see `Scorer.scores`."""
        keys = split_key(dropout_key, 2)
        states_BTD = prompted_states(backbone, params, batch, dropout_key=keys[0])
        pooled_BLD = self.pooled(states_BTD.astype(jnp.float32), batch)
        head = params["head"]
        if self.pooler != "none":
            own = self.pooler == "trained"
            layer = head["pooler"] if own else _shared(params["model"]["pooler"])
            pooled_BLD = jnp.tanh(_affine(pooled_BLD, layer, batch.members))
        pooled_BLD = drop(pooled_BLD, self.dropout, keys[1], shared=False)
        return _affine(pooled_BLD, head, batch.members)

    def pooled(
        self, states: Float[Array, "B T D"], batch: Batch
    ) -> Float[Array, "B L D"]:
        """Returns the states that the layer reads."""
        if self.pooling == "token" or self.name == "tags":
            return states_at(states, batch)
        if batch.lead:
            raise ValueError(
                f"the mean of all states, of rows without the {len(batch.lead)} tokens "
                "in front of all of them: lay them out with these, by "
                "Lengths(folds=False)"
            )
        same_BLT = batch.target_segments[:, :, None] == batch.input_segments[:, None]
        of_text_BLT = (same_BLT & (batch.input_segments > 0)[:, None]).astype(
            jnp.float32
        )
        total_BL1 = jnp.maximum(of_text_BLT.sum(axis=-1, keepdims=True), 1.0)
        return jnp.einsum("blt,btd->bld", of_text_BLT, states) / total_BL1


NEVER = -1e9
"""Score of a label that a task does not have: no softmax gives it anything."""


def padded(head: Params, count: int) -> Params:
    """Gives a head columns of labels that are never chosen, up to a count of them."""
    more = count - head["bias"].shape[-1]
    weight = jnp.pad(head["weight"], ((0, 0), (0, 0), (0, more)))
    bias = jnp.pad(head["bias"], ((0, 0), (0, more)), constant_values=NEVER)
    return {**head, "weight": weight, "bias": bias}


def without_padding(head: Params, count: int) -> Params:
    """Returns a head with its first columns alone, as many as its task has labels."""
    return {
        **head,
        "weight": head["weight"][..., :count],
        "bias": head["bias"][..., :count],
    }


def _shared(layer: Params) -> Params:
    """Returns the layer of a bank of one: what all members share."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32)[None], layer)


def _affine(
    x: Float[Array, "B L D"], layer: Params, members: Int[Array, " B"]
) -> Float[Array, "B L F"]:
    """Multiplies by the matrix of each row's member, and adds its bias."""
    weight, bias = layer["weight"], layer["bias"]
    if len(weight) == 1:
        return jnp.einsum("bld,df->blf", x, weight[0]) + bias[:, None]
    product = jnp.einsum("bld,bdf->blf", x, weight[members])
    return product + bias[members][:, None]
