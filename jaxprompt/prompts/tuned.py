"""A trained prompt with all that its file says: it answers without a further word."""

import dataclasses

from jaxprompt.prompts.prompt import Prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.shapes import Params


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class TunedPrompt:
    """What a prompt file holds.

    Attributes:
        prompt: The prompt, a bank of one.
        provenance: Where it comes from, and what answers need besides it: the task's
            template, its label words, the lengths and the method.
        head: Weights of the head that was trained beside it; {} for words.
        start: The prompt that training started from; None if that is not known.
    """

    prompt: Prompt
    provenance: Provenance
    head: Params = dataclasses.field(default_factory=dict)
    start: Prompt | None = None

    def __repr__(self) -> str:
        said = self.provenance
        score = "" if said.score is None else f": {said.metric} {said.score:.1f}"
        of = f" of task {said.task}" if said.task else ""
        return f"<{self.prompt.told} for {said.backbone}{of}{score}>"
