"""What a run is made of: frozen dataclasses, which gin fills and Python can too."""

from jaxprompt.config.run import VOCABULARY, Run
from jaxprompt.config.settings import (
    COOCCURRENCE,
    LOSS,
    Data,
    Evaluation,
    Model,
    Optimizer,
    PromptStart,
    Tokenizer,
)
from jaxprompt.config.tasks import OfficialTask, OwnTask, TextTask
from jaxprompt.models.t5_config import T5Config
from jaxprompt.train.loop import Pace

CONFIGURABLES = (
    Model,
    OfficialTask,
    OwnTask,
    TextTask,
    Tokenizer,
    T5Config,
    Data,
    PromptStart,
    Optimizer,
    Pace,
    Evaluation,
    Run,
)
"""All that a gin file may name."""

__all__ = [
    "CONFIGURABLES",
    "COOCCURRENCE",
    "LOSS",
    "VOCABULARY",
    "Data",
    "Evaluation",
    "Model",
    "OfficialTask",
    "Optimizer",
    "OwnTask",
    "PromptStart",
    "Run",
    "TextTask",
    "Tokenizer",
]
