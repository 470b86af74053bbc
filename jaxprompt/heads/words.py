"""Answers in words, by the model's own output: the head that has no weights."""

import dataclasses

import jax

from jaxprompt.heads.head import Losses, losses_of
from jaxprompt.models.backbone import Backbone
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.shapes import Batch, Params


@dataclasses.dataclass(frozen=True)
class Words:
    """The next token of a text, scored over the V rows of the frozen table."""

    name: str = "words"

    def init(self, key: jax.Array, backbone: Backbone, model: Params) -> Params:
        """Returns {}: the frozen model writes words by itself."""
        del key, backbone, model
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
        return losses_of(logits_BLV, batch.targets)


WORDS = Words()
