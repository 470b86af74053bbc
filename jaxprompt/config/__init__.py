"""What a run is made of: frozen dataclasses, which gin fills and Python can too."""

from jaxprompt.config.own_tasks import (
    OwnChats,
    OwnChoices,
    OwnRoles,
    OwnSpans,
    OwnTags,
    OwnTask,
)
from jaxprompt.config.run import VOCABULARY, Run
from jaxprompt.config.settings import (
    COOCCURRENCE,
    LOSS,
    WORDS,
    Data,
    Evaluation,
    HeadStart,
    Model,
    Optimizer,
    PromptStart,
    Tokenizer,
)
from jaxprompt.config.sweep import Sweep
from jaxprompt.config.tasks import (
    TASKS,
    OfficialTask,
    QuizTask,
    SelfSupervisedTask,
    TaskGroup,
    TextTask,
)
from jaxprompt.models.families import CONFIGS
from jaxprompt.train.pace import Pace

CONFIGURABLES = (
    Model,
    *TASKS,
    TaskGroup,
    Tokenizer,
    *CONFIGS,
    Data,
    PromptStart,
    HeadStart,
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
    "WORDS",
    "Data",
    "Evaluation",
    "HeadStart",
    "Model",
    "OfficialTask",
    "Optimizer",
    "OwnChats",
    "OwnChoices",
    "OwnRoles",
    "OwnSpans",
    "OwnTags",
    "OwnTask",
    "PromptStart",
    "QuizTask",
    "Run",
    "SelfSupervisedTask",
    "Sweep",
    "TaskGroup",
    "TextTask",
    "Tokenizer",
]
