"""A sweep's runs: all are configured first, then trained one by one and compared."""

import contextlib
import functools
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from jaxprompt.command.configure import configure_seeds, configure_sweep, places_of
from jaxprompt.config import VOCABULARY, Model, Run, Sweep
from jaxprompt.report.pages.summary import RunFacts, write_summary
from jaxprompt.report.results.files import (
    ResultRow,
    best_rows,
    results_in,
    results_table,
    rows_of,
    superglue_rows,
    write_results,
)
from jaxprompt.report.results.rows import (
    BEST_OF_GRID,
    SUPERGLUE_TITLE,
    undefined_metrics,
)
from jaxprompt.runs.keep.curves import curves_of
from jaxprompt.runs.keep.workdir import (
    CONFIG,
    PAGE,
    check_unclaimed,
    check_workdir,
    read_result,
)
from jaxprompt.runs.ready.optimizer import make_optimizer
from jaxprompt.screen.suggest import did_you_mean
from jaxprompt.screen.terminal import say, say_lines

# What reads data is imported when it does: mistakes in gin files are told before.


class PlannedRun(NamedTuple):
    """One run of a sweep.

    Attributes:
        task: Name of its task's gin file, or of the recipe's own task.
        arm: Name of its arm.
        folder: Its workdir.
        run: What it trains.
        config: The same as gin text.
    """

    task: str
    arm: str
    folder: Path
    run: Run
    config: str

    @property
    def title(self) -> str:
        """What the screen calls it."""
        seed = [] if self.run.trains_bank else [f"seed {self.run.seed}"]
        return ", ".join([self.task, self.arm, *seed])


def sweep(
    files: Sequence[str],
    settings: Sequence[str],
    workdir: Path,
    *,
    arms: Sequence[str] | None = None,
    dry_run: bool = False,
    command: str = "",
) -> list[ResultRow]:
    """Trains every arm of a recipe's sweep on every task, and compares the results.

    A run's workdir is workdir/task/arm; where a model trains, workdir/task/arm/seed-0
    and so on. A finished run is not run again and an interrupted one resumes, so that
    a killed sweep goes on with the same command. At the end the workdir also holds
    report.html, a page of all runs, and results.md, .csv, .png and .svg.

    Args:
        files: gin files; one of them sets `Sweep.arms`.
        settings: "NAME=value" each.
        workdir: Folder of the sweep; made if needed.
        arms: The arms to train; None for all. What is finished of others is compared
            with them.
        dry_run: Only check, and say which runs there are.
        command: The command line that asked for it, for the runs' pages.

    Returns:
        The rows of the results' table; none of a dry run.

    Raises:
        ValueError: If any run is misconfigured, or its model is unknown, or its rows
            do not fit, before the first one trains; what only the weights tell, later.
        FileNotFoundError: If the model or the data of any run is missing, likewise.
        FloatingPointError: If a loss is not finite.
        train.stopped.Stopped: After SIGTERM or SIGINT, once the state is saved.
    """
    experiment, planned = plan_sweep(files, settings, workdir, arms)
    if arms is not None:
        planned = [one for one in planned if one.arm in arms or _is_finished(one)]
    _check_runs(planned)
    if dry_run:
        for one in planned:
            say(f"{one.folder}: {one.title}, {one.run.pace.steps} steps")
        return []
    from jaxprompt.runs import train
    from jaxprompt.runs.ready.frozen import open_model

    # Its weights are read, and scored without a prompt, once for runs that follow each
    # other; those of another model would not fit beside them.
    opened = functools.lru_cache(maxsize=1)(open_model)
    results: list[dict[str, Any]] = []
    for number, one in enumerate(planned, start=1):
        say(f"run {number} of {len(planned)}: {one.title}")
        model = opened(one.run.model) if _reads_model(one) else None
        results.append(
            train(one.run, one.folder, config=one.config, command=command, model=model)
        )
    return _write(experiment, planned, results, workdir)


def plan_sweep(
    files: Sequence[str],
    settings: Sequence[str],
    workdir: Path,
    arms: Sequence[str] | None = None,
) -> tuple[Sweep, list[PlannedRun]]:
    """Configures all runs of a sweep, and trains none.

    Args:
        files: gin files; one of them sets `Sweep.arms`.
        settings: "NAME=value" each.
        workdir: Folder of the sweep.
        arms: Those that are to be trained, which the settings are for; None for all.

    Returns:
        The sweep, and its runs: task by task, and of each the arms in order.

    Raises:
        ValueError: If anything is misspelt or does not fit, or a folder holds a run of
            another configuration.
        FileNotFoundError: If a gin file is missing.
    """
    experiment = configure_sweep(files, settings)
    if arms is not None:
        _check_arms(arms, experiment)
    trained = [experiment.arms[arm] for arm in arms or experiment.arms]
    _check_settings(trained, settings, places_of(files))
    if (workdir / CONFIG).exists():
        raise ValueError(
            f"workdir {workdir} is the folder of a run, whose page a sweep would "
            "replace: use another workdir"
        )
    planned: list[PlannedRun] = []
    for file in experiment.tasks or [None]:
        for arm, values in experiment.arms.items():
            chosen = [f"{name}={value!r}" for name, value in values.items()]
            try:
                runs = configure_seeds(
                    files if file is None else [*files, file], [*settings, *chosen]
                )
                for run, _ in runs:
                    if run.trains != VOCABULARY:
                        make_optimizer(run)  # Refuses a schedule longer than the run.
            except ValueError as error:
                raise ValueError(f"arm {arm}: {error}") from error
            for run, config in runs:
                task = Path(file).stem if file else _folder_of(run)
                folder = workdir / task / arm
                if not run.trains_bank:
                    folder = folder / f"seed-{run.seed}"
                check_workdir(folder, config)
                check_unclaimed(folder, run)
                planned.append(PlannedRun(task, arm, folder, run, config))
    _check_results(workdir, experiment, planned)
    return experiment, planned


def _check_results(
    workdir: Path, experiment: Sweep, planned: Sequence[PlannedRun]
) -> None:
    """Refuses a folder whose results' table has rows that this sweep would leave out.

    Raises:
        ValueError: If it has such, as those of another recipe, or of an arm that the
            recipe has no more; or if it is no such table.
    """
    mine = {_method_of(arm) for arm in experiment.arms} | {BEST_OF_GRID}
    # A domain shift is "task -> other", and of a bank each task has rows.
    tasks = {SUPERGLUE_TITLE}
    for one in planned:
        tasks |= {one.task, *(task.label for task in one.run.data.tasks)}
    for task, method in results_in(workdir):
        if method not in mine or task.partition(" -> ")[0] not in tasks:
            raise ValueError(
                f"workdir {workdir} has results of task {task}, method {method!r}, "
                f"which sweep {experiment.title!r} has not, and which its own would "
                f"replace: use another workdir, or move results.* and {PAGE} out of "
                "there first; `jaxprompt report` gathers the runs of both"
            )


def _method_of(arm: str) -> str:
    return arm.replace("_", " ")


def _check_settings(
    arms: Sequence[Mapping[str, Any]],
    settings: Sequence[str],
    places: Mapping[str, Sequence[str]],
) -> None:
    """Refuses a setting that no run would heed, or that undoes what tells runs apart.

    Args:
        arms: What each arm that is to be trained sets.
        settings: "NAME=value" each.
        places: Name -> what takes its value, as of `places_of`.

    Raises:
        ValueError: If there is one.
    """
    own = sorted({"SEED", "SEEDS"}.union(*arms))
    for setting in settings:
        name = setting.partition("=")[0]
        if all(name in values for values in arms):
            raise ValueError(
                f"--gin.{setting} changes nothing, for every arm of the sweep that is "
                f"to be trained sets {name}: set what the arms take it from, or "
                "--gin.Sweep.arms"
            )
        undone = [other for other in own if name in places.get(other, ())]
        if undone:
            raise ValueError(
                f"--gin.{setting} would win over {undone[0]}, which tells the sweep's "
                f"runs apart: set --gin.{undone[0]}, or --gin.Sweep.arms"
            )


def _check_arms(arms: Sequence[str], experiment: Sweep) -> None:
    """Raises ValueError for an arm that the sweep does not have."""
    for arm in arms:
        if arm not in experiment.arms:
            hint = did_you_mean(arm, experiment.arms)
            raise ValueError(
                f"--arms: no arm {arm!r}: {hint}{'; ' if hint else ''}the sweep has "
                f"{', '.join(experiment.arms)}"
            )


def _folder_of(run: Run) -> str:
    name = run.data.task_name
    if not name:
        raise ValueError(
            "no task for the sweep: give one, as --gin_file=gin/tasks/sst2.gin, or "
            "several, as --gin.Sweep.tasks=\"['gin/tasks/sst2.gin']\""
        )
    return name


def _check_runs(planned: Sequence[PlannedRun]) -> None:
    """Checks the runs that are not finished, as far as that takes no weights.

    What is missing is told first, which takes no time, and then what rows do not fit.
    """
    from jaxprompt.runs.ready.frozen import find_model
    from jaxprompt.runs.ready.prepare import check_files, check_run, mesh_of

    # A name on the Hub is asked for once, and its vocabulary is read once.
    find = functools.cache(find_model)
    waiting = [one for one in planned if _reads_model(one)]
    for one in waiting:
        with _telling(one):
            data, words = one.run.data, find(_named(one.run.model)).vocabulary
            check_files([task.load(words) for task in data.tasks], data.splits)
            shift_to = [task.load(words) for task in data.shift_to]
            check_files(shift_to, [data.shift_split])
    if waiting:
        say("checking the rows of every run", problem=True)
    checked: list[tuple[Any, ...]] = []
    for one in waiting:
        read = _read_of(one.run)
        if read in checked:
            continue
        with _telling(one):
            mesh_of(one.run, trains=True)
            check_run(one.run, find(_named(one.run.model)), one.run.data.splits)
        checked.append(read)


@contextlib.contextmanager
def _telling(one: PlannedRun) -> Iterator[None]:
    """Says of an error which run it is of."""
    try:
        yield
    except (ValueError, FileNotFoundError) as error:
        # Whatever kind of ValueError it is: some take more than a text.
        missing = isinstance(error, FileNotFoundError)
        kind = FileNotFoundError if missing else ValueError
        raise kind(f"{one.title}: {error}") from error


def _named(model: Model) -> Model:
    """Returns a model's settings without those that decide nothing of its files."""
    return Model(name=model.name, revision=model.revision, vocabulary=model.vocabulary)


def _read_of(run: Run) -> tuple[Any, ...]:
    """Returns the settings that decide whether the rows of a run fit.

    The seed is one of them only where it draws a few rows to train on.
    """
    seed = run.seed if run.data.few_rows else None
    parts = run.model, run.data, run.prompt, run.head, run.evaluation
    sizes = run.batch_size, run.optimizer.accumulate, run.seeds, seed
    return run.trains, *parts, *sizes


def _reads_model(one: PlannedRun) -> bool:
    """Tells whether a run is still to be trained, and on a model that is there."""
    return not _is_finished(one) and one.run.model.architecture is None


def _is_finished(one: PlannedRun) -> bool:
    return read_result(one.folder, one.config) is not None


def _write(
    experiment: Sweep,
    planned: Sequence[PlannedRun],
    results: Sequence[Mapping[str, Any]],
    workdir: Path,
) -> list[ResultRow]:
    """Writes and prints what came out; the mean over SuperGLUE, if whole, is last."""
    there = {one.arm for one in planned}
    methods = {arm: _method_of(arm) for arm in experiment.arms if arm in there}
    found = list(zip(planned, results, strict=True))
    for one, result in found:
        for undefined in undefined_metrics(result):
            say(f"{one.folder}: {undefined}, and so is every mean with it")
    rows = [
        row
        for make_rows in (rows_of, superglue_rows)
        for arm, method in methods.items()
        for row in make_rows(
            method,
            [result for one, result in found if one.arm == arm],
            experiment.x.get(arm),
        )
    ]
    if experiment.best_of_grid:
        rows += best_rows(rows)
    title, page = experiment.title, workdir / PAGE
    axis = experiment.axis if any(row.x is not None for row in rows) else ""
    made = write_results(workdir, rows, title=title, axis=axis)
    write_summary(
        page,
        rows,
        [_facts(one, methods[one.arm], result, workdir) for one, result in found],
        title=title,
        axis=axis,
        settings={
            method: {name: repr(value) for name, value in experiment.arms[arm].items()}
            for arm, method in methods.items()
        },
    )
    written = ", ".join(map(str, [page, *made]))
    say_lines(results_table(rows, axis))
    say(f"wrote {written}")
    return rows


def _facts(
    one: PlannedRun, method: str, result: Mapping[str, Any], workdir: Path
) -> RunFacts:
    page = one.folder / PAGE
    address = urllib.parse.quote(page.relative_to(workdir).as_posix())
    return RunFacts(
        folder=one.folder.relative_to(workdir).as_posix(),
        method=method,
        result=result,
        curves=curves_of(one.folder),
        page=address if page.exists() else None,
    )
