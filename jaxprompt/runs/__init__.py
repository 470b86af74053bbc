"""What a user does: train, evaluate, predict, submit, inspect, gather, share."""

from jaxprompt.runs.diagnosis import diagnose
from jaxprompt.runs.evaluation import evaluate, evaluate_ensemble, find_prompts
from jaxprompt.runs.gathering import gather
from jaxprompt.runs.inspection import inspect
from jaxprompt.runs.interchange import export_prompt, import_prompt
from jaxprompt.runs.prediction import predict
from jaxprompt.runs.sharing import find_shared, pull, push
from jaxprompt.runs.submission import submit
from jaxprompt.runs.training import train

__all__ = [
    "diagnose",
    "evaluate",
    "evaluate_ensemble",
    "export_prompt",
    "find_prompts",
    "find_shared",
    "gather",
    "import_prompt",
    "inspect",
    "predict",
    "pull",
    "push",
    "submit",
    "train",
]
