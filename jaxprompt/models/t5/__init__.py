"""T5: versions 1.0 and 1.1, LM-adapted, Flan and mT5."""

from typing import TYPE_CHECKING, Any

from jaxprompt.models.t5.config import T5Config

if TYPE_CHECKING:
    from jaxprompt.models.t5.model import T5


def make_t5(config: T5Config, **options: Any) -> "T5":
    """Makes a T5 of these sizes; what it computes with is imported only now."""
    from jaxprompt.models.t5.model import T5

    return T5(config, **options)
