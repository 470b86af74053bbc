"""The case that the checks look at: a frozen model, a prompt and a few real rows."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from jaxprompt.evaluate.likelihood import with_answers
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.quantise import Int8Matrix
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import Prompt
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import fetch


@dataclasses.dataclass(frozen=True)
class Case:
    """A frozen model, a prompt, and rows of its task.

    Attributes:
        backbone: The frozen model's functions, of the run's dtype.
        vocabulary: Its vocabulary.
        prompt: A bank of one.
        rows: Rows behind the prompt's soft tokens, one example each, as NumPy arrays,
            without a lead: the checks find every soft token there.
        plain: The same rows without soft tokens, of the same shape.
        join: Makes the joined tree {"model": ..., "prompt": ...} of a bank.
        place: Moves a batch to the devices.
        folded: The same rows as a decoder gets them elsewhere, with a lead; None where
            there is none.
    """

    backbone: Backbone
    vocabulary: Any
    prompt: Prompt
    rows: Batch
    plain: Batch
    join: Callable[[Prompt], Params]
    place: Callable[[Batch], Batch]
    folded: Batch | None = None

    @functools.cached_property
    def params(self) -> Params:
        """The joined tree of the case's own prompt."""
        return self.join(self.prompt)

    @functools.cached_property
    def alone_log_probs(self) -> Float[np.ndarray, "B L V"]:
        """What the frozen model alone makes of the targets.

        Its soft tokens are there, but no row has their ids: it is as if there were
        none.
        """
        soft = dataclasses.replace(self.prompt, deep={})
        return log_probs(self, self.join(soft), self.plain)

    @property
    def exact(self) -> Backbone:
        """The model as it computes in float32, whatever the run's dtype.

        What two ways to the same logits differ by is then a mistake, not rounding.
        """
        return dataclasses.replace(self.backbone, dtype="float32", attention="chunked")

    @property
    def is_quantised(self) -> bool:
        """Whether the frozen matrices are int8, and activations are rounded to it."""
        return isinstance(self.backbone.table(self.params["model"]), Int8Matrix)

    def with_text_targets(self) -> Batch:
        """Returns the rows with the beginnings of their own texts as targets.

        Label words are one or two tokens; a decoder shows its mistakes over more.
        """
        rows, length = self.rows, self.rows.targets.shape[1]
        is_text = np.asarray(self.plain.input_segments)[:, :length] > 0
        # A task with the loss on all of its text has it as targets already.
        if not is_text.any():
            return rows
        text = np.asarray(self.plain.inputs)[:, :length]
        return with_answers(rows, np.where(is_text, text, NO_TOKEN))


def log_probs(case: Case, params: Params, batch: Batch) -> Float[np.ndarray, "B L V"]:
    """Computes the log-probabilities of every next target token, by teacher forcing.

    Args:
        case: Whose model it is; it computes in float32.
        params: A joined tree.
        batch: Rows on the host.
    """
    with jax.default_matmul_precision("highest"):
        logits = _logits(case.exact, params, case.place(batch))
    return fetch(jax.nn.log_softmax(logits))


def mean_loss(case: Case, prompt: Prompt) -> float:
    """Returns the loss of a prompt on the case's rows, in nats a token."""
    found_BLV = log_probs(case, case.join(prompt), case.rows)
    targets_BL1 = np.asarray(case.rows.targets)[..., None]
    nats_BL = -np.take_along_axis(found_BLV, targets_BL1, axis=-1)[..., 0]
    return float(np.average(nats_BL, weights=case.rows.weights))


_logits = jax.jit(prompted_logits, static_argnums=0)
