"""Compiles a run for a TPU slice that is not there: does it fit, what does it cost."""

from jaxprompt.plan.planning import plan

__all__ = ["plan"]
