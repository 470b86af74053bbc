"""The models there are: from a config of any kind to its backbone."""

from typing import Any, TypeAlias

from jaxprompt.models.gpt2 import GPT2
from jaxprompt.models.gpt2_config import GPT2Config
from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config

Config: TypeAlias = T5Config | GPT2Config
"""The sizes and switches of any model."""

Model: TypeAlias = T5 | GPT2
"""The functions of any model."""


def make_backbone(config: Config, **options: Any) -> Model:
    """Makes the functions of a model of these sizes.

    Args:
        config: Sizes and switches.
        **options: Other attributes of `T5` and of `GPT2`, which have the same ones.

    Raises:
        ValueError: If an option is unknown.
    """
    if isinstance(config, GPT2Config):
        return GPT2(config, **options)
    return T5(config, **options)
