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
from jaxprompt.config.sweep import Sweep
from jaxprompt.config.tasks import (
    OfficialTask,
    OwnTask,
    QuizTask,
    TaskGroup,
    TextTask,
)
from jaxprompt.models.families import CONFIGS
from jaxprompt.train.pace import Pace

CONFIGURABLES = (
    Model,
    OfficialTask,
    OwnTask,
    QuizTask,
    TextTask,
    TaskGroup,
    Tokenizer,
    *CONFIGS,
    Data,
    PromptStart,
    Optimizer,
    Pace,
    Evaluation,
    Run,
    Sweep,
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
    "QuizTask",
    "Run",
    "Sweep",
    "TaskGroup",
    "TextTask",
    "Tokenizer",
]
