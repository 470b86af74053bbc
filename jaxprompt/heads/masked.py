"""Words at a mask, of which a frozen masked-LM head chooses one."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxprompt.data.tasks.verbalizer import Score
from jaxprompt.heads.head import Scorer, class_scores, states_at
from jaxprompt.models.backbone import Backbone, Filler
from jaxprompt.prompts.join import prompted_states
from jaxprompt.shapes import Batch, Params


@dataclasses.dataclass(frozen=True)
class MaskedHead(Scorer):
    """The label words, scored by the checkpoint's masked-LM head at a text's mask.

    Attributes:
        ids: Ids of the words of each label, in class order.
        score: What a label with several words has, the "sum" of their probabilities or
            the "mean".
        name: What prompt files call it.

    Source: Schick and Schuetze 2021, eq. 2 (arXiv:2001.07676).
    """

    ids: tuple[tuple[int, ...], ...]
    score: Score = "sum"
    name: str = "mask"

    def init(self, key: jax.Array, backbone: Backbone, model: Params) -> Params:
        """Returns {}: the checkpoint's head is frozen. See `heads.head.Head.init`.

        Raises:
            ValueError: If the checkpoint has none.
        """
        del key
        if not isinstance(backbone, Filler) or "fill" not in model:
            raise ValueError(
                f"{backbone.name} has no masked-LM head: use --gin.HEAD=classes "
                "with --gin.TRAINS=prompt+head"
            )
        return {}

    def scores(
        self,
        backbone: Backbone,
        params: Params,
        batch: Batch,
        *,
        dropout_key: jax.Array | None = None,
    ) -> Float[Array, "B L C"]:
        """Scores every label word for each target's place; float32."""
        assert isinstance(backbone, Filler)
        states = prompted_states(backbone, params, batch, dropout_key=dropout_key)
        logits = backbone.fill(params["model"], states_at(states, batch))
        words = logits[..., jnp.array([n for ids in self.ids for n in ids])]
        return class_scores(words, [len(ids) for ids in self.ids], self.score)
