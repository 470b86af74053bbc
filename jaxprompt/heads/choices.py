"""A head for multiple choice: a score for each text, and one text is right."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from jaxprompt.heads.head import Losses, places_of
from jaxprompt.heads.labels import NEVER, LabelsHead
from jaxprompt.models.backbone import Backbone
from jaxprompt.shapes import Batch, Params


@dataclasses.dataclass(frozen=True)
class ChoicesHead(LabelsHead):
    """A linear layer of one column over the state of each text of a row.

    Source: multiple choice in Radford et al. 2018, sec. 3.3
    (cdn.openai.com/research-covers/language-unsupervised): each text is read by itself,
    and a softmax is over their scores.
    """

    name: str = "choices"
    count: int = 1

    def scores(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Float[Array, "B 1 C"]:
        """Scores every text of a row; float32."""
        scores_BC1 = super().scores(backbone, params, batch, dropout_key=dropout_key)
        is_there_BC = places_of(batch) >= 0
        return jnp.where(is_there_BC, scores_BC1[..., 0], NEVER)[:, None]

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores every text as if it were right: only those that are have a weight."""
        scores_BC = self.scores(backbone, params, batch, dropout_key=dropout_key)[:, 0]
        log_z_B1 = jax.nn.logsumexp(scores_BC, axis=-1, keepdims=True)
        best_B1 = jax.lax.stop_gradient(scores_BC.max(axis=-1, keepdims=True))
        log_z_BC = jnp.broadcast_to(log_z_B1, scores_BC.shape)
        return Losses(log_z_BC - scores_BC, log_z_BC, scores_BC >= best_B1)

    def find(
        self, backbone: Backbone, params: Params, batch: Batch
    ) -> Int[Array, "B 1"]:
        """Returns the number of the likeliest text of each row, from 1."""
        scores_B1C = self.scores(backbone, params, batch)
        return 1 + jnp.argmax(scores_B1C, axis=-1).astype(jnp.int32)
