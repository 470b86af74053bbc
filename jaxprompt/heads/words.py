"""Answers in words, by the model's own output: the head that has no weights."""

import dataclasses

import jax
import jax.numpy as jnp

from jaxprompt.heads.head import Losses
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.shapes import Batch, Params


@dataclasses.dataclass(frozen=True)
class Words:
    """The next token of a text, scored over the V rows of the frozen table."""

    name: str = "words"

    def init(self, key: jax.Array, backbone: Backbone, members: int) -> Params:
        """Returns {}: the frozen model writes words by itself."""
        del key, backbone, members
        return {}

    def losses(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Losses:
        """Scores every target token by teacher forcing."""
        logits_BLV = prompted_logits(backbone, params, batch, dropout_key=dropout_key)
        # Written out, so that the accuracy and the z-loss add no pass over the logits.
        log_z_BL = jax.nn.logsumexp(logits_BLV, axis=-1)
        target_BL1 = jnp.take_along_axis(logits_BLV, batch.targets[..., None], axis=-1)
        target_BL = target_BL1[..., 0]
        hits_BL = target_BL >= jax.lax.stop_gradient(logits_BLV.max(axis=-1))
        return Losses(log_z_BL - target_BL, log_z_BL, hits_BL)


WORDS = Words()
