"""The curves of a run for a page of many: what its log lacks is told, no error."""

from pathlib import Path

from jaxprompt.report.plots.curves import Curve, read_curves
from jaxprompt.runs.keep.workdir import METRICS
from jaxprompt.screen.terminal import say


def curves_of(workdir: Path) -> dict[str, Curve]:
    """Reads the curves of a run, as far as its log goes.

    A run's scores do not need its log: one that is cut or damaged is told in a line.

    Args:
        workdir: Folder of the run.

    Returns:
        Name -> curve; none where there is no log, or one that cannot be read.
    """
    log = workdir / METRICS
    if not log.exists():
        return {}
    try:
        return read_curves(log)
    except ValueError as error:
        damage = error
    try:
        curves = read_curves(log, whole=False)
    except ValueError:
        say(f"{workdir} has no curves: {damage}")
        return {}
    say(f"{workdir}: its curves lack a step, for the last line of {METRICS} is cut")
    return curves
