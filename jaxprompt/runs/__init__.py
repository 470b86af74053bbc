"""The four things a user does: train, evaluate, predict and inspect."""

from jaxprompt.runs.evaluation import evaluate
from jaxprompt.runs.inspection import inspect
from jaxprompt.runs.prediction import predict
from jaxprompt.runs.training import train

__all__ = ["evaluate", "inspect", "predict", "train"]
