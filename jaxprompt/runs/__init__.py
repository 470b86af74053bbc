"""What a user does: train, evaluate, predict, submit, inspect, compare, share.

Each is imported when it is first used: most need no TensorFlow, and a mistake in a gin
file is told before those that do are there.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jaxprompt.runs.comparing import compare
    from jaxprompt.runs.diagnosis import diagnose
    from jaxprompt.runs.evaluation import evaluate, evaluate_ensemble
    from jaxprompt.runs.frozen_scores import evaluate_frozen
    from jaxprompt.runs.gathering import gather
    from jaxprompt.runs.inspection import inspect
    from jaxprompt.runs.interchange import export_prompt, import_prompt
    from jaxprompt.runs.keep.prompt_files import find_prompt, find_prompts
    from jaxprompt.runs.prediction import predict
    from jaxprompt.runs.sharing import find_shared, pull, push
    from jaxprompt.runs.showing import show
    from jaxprompt.runs.submission import submit
    from jaxprompt.runs.training import rehearse, train

_HOME_OF = {
    "compare": "comparing",
    "diagnose": "diagnosis",
    "evaluate": "evaluation",
    "evaluate_ensemble": "evaluation",
    "evaluate_frozen": "frozen_scores",
    "export_prompt": "interchange",
    "find_prompt": "keep.prompt_files",
    "find_prompts": "keep.prompt_files",
    "find_shared": "sharing",
    "gather": "gathering",
    "import_prompt": "interchange",
    "inspect": "inspection",
    "predict": "prediction",
    "pull": "sharing",
    "push": "sharing",
    "rehearse": "training",
    "show": "showing",
    "submit": "submission",
    "train": "training",
}

__all__ = [
    "compare",
    "diagnose",
    "evaluate",
    "evaluate_ensemble",
    "evaluate_frozen",
    "export_prompt",
    "find_prompt",
    "find_prompts",
    "find_shared",
    "gather",
    "import_prompt",
    "inspect",
    "predict",
    "pull",
    "push",
    "rehearse",
    "show",
    "submit",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'jaxprompt.runs' has no attribute {name!r}")
    return getattr(importlib.import_module(f"jaxprompt.runs.{_HOME_OF[name]}"), name)
