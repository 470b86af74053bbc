"""What is taken from another program's file, and what is given to one."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance


@dataclass(frozen=True)
class Taken:
    """What another program's file holds.

    Attributes:
        prompts: Its prompts, each a bank of one, in the order of the file.
        backbone: What it says of the model that they are for; empty if nothing.
        notes: What was left out or changed, a sentence each, for the user.
        causal: Whether this model has a decoder only; None if it does not say.
    """

    prompts: tuple[Prompt, ...]
    backbone: str = ""
    notes: tuple[str, ...] = ()
    causal: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Given:
    """What is to be written for another program.

    Attributes:
        prompts: Banks of one; a single one unless the form takes several.
        provenances: Where each comes from.
        dtype: Of the numbers in the file, one of the form's dtypes.
        backbone: The model to name there instead of the provenance's; for a form that
            writes into a checkpoint, this checkpoint. Empty for none.
    """

    prompts: Sequence[Prompt]
    provenances: Sequence[Provenance]
    dtype: str = "float32"
    backbone: str = ""
