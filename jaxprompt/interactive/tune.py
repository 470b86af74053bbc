"""`tune`: rows in memory -> trained prompts and their scores, by the runs' training."""

import contextlib
import dataclasses
import signal
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxprompt.config import (
    WORDS,
    Data,
    Evaluation,
    HeadStart,
    Optimizer,
    OwnChats,
    OwnTask,
    PromptStart,
    Run,
)
from jaxprompt.data.read.files import Row, field_text
from jaxprompt.data.read.table import Table
from jaxprompt.data.read.template import Template
from jaxprompt.data.tasks.own import target_text
from jaxprompt.data.tasks.task import Task
from jaxprompt.interactive.model import FrozenModel
from jaxprompt.interactive.result import TuningResult
from jaxprompt.interactive.rows import plain, read_data, split_rows
from jaxprompt.interactive.settings import changed, gin_text
from jaxprompt.prompts.file import read_tuned
from jaxprompt.runs.ready.prepare import devices_of
from jaxprompt.runs.training import finish
from jaxprompt.screen.quoting import listed, quoted
from jaxprompt.screen.terminal import say
from jaxprompt.sharding import DATA
from jaxprompt.train.stopped import Stopped

LONGEST_INPUT, LONGEST_TARGET = 512, 128
"""Most tokens of a row, its soft tokens included, and of an answer; the rest is cut."""

BATCH_SIZE, EVALUATION_BATCH = 16, 32
"""Rows of a batch to train on, where there are so many, and of one to score."""

VALIDATIONS = 4
"""How often the prompt is scored on the validation rows."""

_SPLITS = ("train", "validation", "test")


def tune(
    model: FrozenModel,
    data: Any,
    *,
    inputs: str | Mapping[str, str] = "",
    target: str = "",
    messages: str = "",
    labels: Mapping[Any, str | Sequence[str]] | Sequence[str] | None = None,
    prompt_length: int = 20,
    prompt_text: str = "",
    steps: int = 300,
    learning_rate: float | None = None,
    batch_size: int | None = None,
    validation: Any = 0.2,
    metrics: str | Sequence[str] | None = None,
    seed: int = 0,
    seeds: int = 1,
    name: str = "task",
    loggers: str | Sequence[str] = ("tensorboard",),
    settings: Mapping[str, Any] | None = None,
    workdir: str | Path | None = None,
) -> TuningResult:
    """Trains prompts for a frozen model on rows in memory.

    It is the training of `jaxprompt train`, with the defaults that suit the model: an
    encoder, which writes no words, gets keys and values in every layer and a head of
    the labels; a T5 is trained by Adafactor at 0.3, any other by AdamW at 0.01, both
    falling to 0. The step that is best on the validation rows is kept.

    Example:
        ```python
        result = tune(
            model,
            [
                {"text": "a fine film", "label": 1},
                {"text": "moving and kind", "label": 1},
                {"text": "two hours of rain", "label": 0},
                {"text": "dull", "label": 0},
            ],
            inputs="review: {text}",
            target="label",
            labels={0: "bad", 1: "good"},
            steps=100,
        )
        model.generate(["warm and funny"], prompt=result.prompt)
        ```

    Args:
        model: From `load`.
        data: The rows: a list of dicts, a pandas DataFrame, a `datasets.Dataset`, or
            the path of a .jsonl, .csv or .tsv file. Or a dict of "train", and of
            "validation" and "test", if there are such, as a `datasets.DatasetDict`;
            scores are then those of "test".
        inputs: Template of the input text over the columns, as "review: {text}". A
            decoder writes its answer behind it, with a space between, unless {mask:1}
            says where. For an instruct model role -> template, as
            {"user": "review: {text}"}, written by its own chat template.
        target: Column of the answer, or a template of it.
        messages: Instead of these two, for an instruct model: the column of
            conversations, lists of {"role": "user", "content": text}, of which each
            answer of the assistant is learned; see `config.OwnChats`.
        labels: Value of the target -> label word, or several, of which training writes
            the first; or a list of the words, where these are the values. None for
            free text.
        prompt_length: Soft tokens P; of an encoder, keys and values in every layer. 0
            for none, where `settings` say what trains in their place, as
            {"PromptStart.deep": {"decoder": 20}}.
        prompt_text: Words that the prompt starts from; "" takes the label words, or
            tokens of the vocabulary where there are none, or more than fit.
        steps: Training steps.
        learning_rate: Highest rate; None for the model's default.
        batch_size: Rows of a training batch; None for `BATCH_SIZE`, or all if there are
            fewer.
        validation: Share of the rows that choose the best step, of each label alike; or
            the rows themselves, as `data`. They also give the scores, unless there are
            "test" rows.
        metrics: One name out of `data.tasks.metrics` or several; None for "accuracy",
            and of conversations "rouge".
        seed: Of the start, the order of the rows and the validation rows.
        seeds: Prompts to train at once, from `seed` on, each as it would be alone.
        name: What tables call the task.
        loggers: Where the curves are told besides metrics.jsonl: "tensorboard" and
            "csv" in the workdir, "wandb", "mlflow".
        settings: Any other settings, by their names in gin files, as
            {"PromptStart.reparametrise": "lstm", "Pace.patience": 3}.
        workdir: Folder for all that `jaxprompt train` leaves: the prompts, the page,
            the curves, the checkpoints. The same call goes on from there, or reads the
            result. None keeps nothing but the result.

    Returns:
        The scores, beside those of the majority class and of the model alone, and the
        prompts.

    Raises:
        ValueError: If a row, a column or a setting does not fit; names it and the fix.
        FileNotFoundError: If there is no such file.
        FloatingPointError: If the loss is not finite.
        train.stopped.Stopped: After an interrupt, once the state is saved in the
            workdir; without a workdir it is KeyboardInterrupt.
    """
    if not isinstance(model, FrozenModel):
        raise ValueError(f"model is {model!r}: load it first, as jp.load({model!r})")
    numbers = {"steps": steps, "prompt_length": prompt_length, "seed": seed}
    for setting, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f"{setting} is {value!r}: give a whole number")
    steps, prompt_length, seed = map(int, numbers.values())
    if seed < 0:
        raise ValueError(f"seed {seed}: use 0 or more")
    if workdir is not None and not str(workdir):
        raise ValueError("workdir '' is no folder: name one, as '.', or leave it out")
    texts = {"target": target, "messages": messages, "prompt_text": prompt_text}
    for setting, value in {**texts, "name": name}.items():
        if not isinstance(value, str):
            raise ValueError(f"{setting} is {quoted(value)}: give a text")
    if not isinstance(inputs, str | Mapping):
        raise ValueError(
            f'inputs is {quoted(inputs)}: give a template, as "review: {{text}}", or a '
            "dict of roles to templates"
        )
    if not isinstance(settings, Mapping | None):
        raise ValueError(
            f"settings is {quoted(settings)}: give a dict of names to values, as "
            '{"Optimizer.kind": "adamw"}'
        )
    if metrics is None:
        metrics = ("rouge",) if messages else ("accuracy",)
    metrics = (metrics,) if isinstance(metrics, str) else metrics
    if not isinstance(metrics, Sequence):
        raise ValueError(f"metrics is {metrics!r}: give a name, or a list of names")
    loggers = (loggers,) if isinstance(loggers, str) else loggers
    if not messages and not (inputs and target):
        raise ValueError(
            'no inputs or no target: give both, as inputs="review: {text}" and '
            'target="label", or messages, the column of conversations'
        )
    if messages:
        asked = _ask_chats(model, name, messages, metrics, (inputs, target, labels))
    else:
        words = _label_words(labels)
        asked = _ask_texts(model, name, inputs, target, words, metrics)
    tables = _read_splits(data, asked, validation, seed)
    task = dataclasses.replace(asked.task, files=tables)
    if batch_size is None:
        devices = devices_of(model.opened.settings).shape[DATA]
        most = min(BATCH_SIZE, len(tables["train"].rows))
        batch_size = max(most // devices * devices, 1)
    if prompt_length >= LONGEST_INPUT and "Data.input_length" not in (settings or {}):
        raise ValueError(
            f"prompt_length {prompt_length} leaves no text in rows of {LONGEST_INPUT} "
            'tokens: use fewer, or give settings={"Data.input_length": 128} for so '
            "many tokens of text behind it"
        )
    run = _default_run(model, task, prompt_length, prompt_text)
    often = max(steps // VALIDATIONS, 1)
    given: dict[str, Any] = {
        "Pace.steps": steps,
        "Pace.evaluate_every": often,
        "Pace.checkpoint_every": often,
        "Run.batch_size": batch_size,
        "Run.seed": seed,
        "Run.seeds": seeds,
        "Run.loggers": loggers,
        "Data.test_split": "test" if "test" in tables else None,
    }
    if not prompt_length:
        given |= {"PromptStart.length": 0, "PromptStart.deep": {}}
    if learning_rate is not None:
        given["Optimizer.learning_rate"] = learning_rate
    run = changed(run, {**given, **(settings or {})})
    _check_tunable(model, run)
    return _train(model, run, workdir)


def _check_tunable(model: FrozenModel, run: Run) -> None:
    """Refuses settings that a loaded model does not follow, or that make no prompt."""
    loaded = vars(model.opened.settings)
    for name, value in vars(run.model).items():
        if value != loaded[name]:
            raise ValueError(
                f"Model.{name} is {quoted(value)}, but the model was loaded with "
                f"{quoted(loaded[name])}: give it where the model is loaded, as "
                f"jp.load(..., {name}={quoted(value)})"
            )
    if not run.trains_bank:
        raise ValueError(
            f"Run.trains is {run.trains!r}, which makes no prompt: use 'prompt', "
            "'prompt+head' or 'head', or `jaxprompt train` for a model of its own"
        )


def _train(model: FrozenModel, run: Run, workdir: str | Path | None) -> TuningResult:
    with contextlib.ExitStack() as stack:
        if workdir is None:
            prefix = "jaxprompt-"
            place = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
            )
        else:
            place = Path(workdir)
        try:
            result, made = finish(run, place, config=gin_text(run), model=model.opened)
        except Stopped as stopped:
            if workdir is None and stopped.signal == signal.SIGINT:
                raise KeyboardInterrupt("nothing is kept without a workdir") from None
            raise
        if not made:
            say(f"{place} holds a finished run")
        files = [place / member["file"] for member in result.get("members", [result])]
        prompts = tuple(read_tuned(file) for file in files)
        return TuningResult(result, prompts, None if workdir is None else place)


def _label_words(
    labels: Mapping[Any, str | Sequence[str]] | Sequence[str] | None,
) -> dict[str, str | Sequence[str]] | None:
    """Returns label words by the text of the target's value."""
    if labels is None:
        return None
    if isinstance(labels, str):
        raise ValueError(
            f"labels is the text {labels!r}: give a dict of values to words, as "
            '{0: "bad", 1: "good"}, or a list of words'
        )
    if isinstance(labels, Set) or not isinstance(labels, Iterable):
        raise ValueError(
            f"labels is {quoted(labels)}, which has no order: give a dict of values to "
            "words, or a list of words"
        )
    if not isinstance(labels, Mapping):
        labels = {word: word for word in labels}
    found: dict[str, str | Sequence[str]] = {}
    for key, words in labels.items():
        each = [words] if isinstance(words, str) else words
        if not isinstance(each, Sequence) or not all(isinstance(x, str) for x in each):
            raise ValueError(
                f"labels[{quoted(key)}] is {quoted(words)}: give a word, or a list of "
                "words"
            )
        where = f"labels[{quoted(key)}]"
        text = field_text(Row(where, {"key": plain(key)}), "key")
        if text in found:
            raise ValueError(
                f"{where} stands for the same value as another key, {text!r}: leave "
                "one of them out"
            )
        found[text] = str(words) if isinstance(words, str) else words
    return found


class _Asked(NamedTuple):
    """What rows are asked.

    Attributes:
        task: The task, without rows.
        fields: Columns that each row has to have.
        label: Returns a row's label, or raises ValueError; None where none has one.
    """

    task: OwnTask | OwnChats
    fields: list[str]
    label: Callable[[Row], str] | None


def _ask_texts(
    model: FrozenModel,
    name: str,
    inputs: str | Mapping[str, str],
    target: str,
    labels: dict[str, str | Sequence[str]] | None,
    metrics: Sequence[str],
) -> _Asked:
    config = model.backbone.config
    if config.encoder_only and labels is None:
        raise ValueError(
            f"{model.backbone.name} is an encoder, which writes no words: give labels, "
            "of which a head chooses one, or take a T5 or a decoder for free text"
        )
    roles = None if isinstance(inputs, str) else dict(inputs)
    if isinstance(inputs, str) and config.causal and "{mask:1}" not in inputs:
        inputs = inputs.rstrip(" ")
        space = "" if inputs[-1:].isspace() else " "
        inputs = f"{inputs}{space}{{mask:1}}"
    task = OwnTask(
        name=name,
        inputs=inputs if isinstance(inputs, str) else "",
        roles=roles,
        target=target,
        labels=labels,
        metrics=tuple(metrics),
    )
    texts = [task.inputs, *(roles or {}).values()]
    answer = Template(target if "{" in target else f"{{{target}}}")
    fields = [field for text in texts for field in Template(text).fields]
    used = [*dict.fromkeys([*fields, *answer.fields])]
    if labels is None:
        return _Asked(task, used, None)
    known = labels

    def label(row: Row) -> str:
        value = target_text(answer, row, known)
        if value not in known:
            raise ValueError(
                f"{row.where}: column {target!r} is {quoted(value)}, which is none of "
                f"the labels {listed(known)}: add it to labels, or leave the row out"
            )
        return value

    return _Asked(task, used, label)


def _ask_chats(
    model: FrozenModel,
    name: str,
    messages: str,
    metrics: Sequence[str],
    others: Sequence[Any],
) -> _Asked:
    if any(others):
        raise ValueError(
            f"messages {messages!r}, and inputs, target or labels: the turns of a "
            "conversation say what is asked and answered, so leave these out"
        )
    task = OwnChats(name=name, messages=messages, metrics=tuple(metrics))
    task.load(model.frozen.vocabulary)  # It is refused here without a chat template.
    return _Asked(task, [messages], None)


def _default_run(
    model: FrozenModel, task: OwnTask | OwnChats, prompt_length: int, prompt_text: str
) -> Run:
    """Makes the run that suits a model, with room for the longest row.

    No run is without a prompt, so a length of 0 is 1 here: it is set where the other
    settings are, which may give keys and values in its place, or train a head alone.
    """
    config = model.backbone.config
    head = HeadStart(kind="classes" if config.encoder_only else WORDS)
    loaded = task.load(model.frozen.vocabulary).put_to(head.kind)
    inputs, targets = _longest(loaded)
    if config.encoder_only:
        prompt = PromptStart(
            length=0,
            deep={"encoder": prompt_length or 1},
            deep_init="text" if prompt_text else "normal",
            deep_in_front=True,
            stddev=1.0,
            text=prompt_text,
        )
    else:
        labels = len(loaded.labels or ())
        start = "class_labels" if 0 < labels <= prompt_length else "vocabulary"
        prompt = PromptStart(
            length=prompt_length or 1,
            init="text" if prompt_text else start,
            text=prompt_text,
        )
    if config.causal or config.encoder_only:
        optimizer = Optimizer(
            kind="adamw", learning_rate=0.01, schedule="linear", weight_decay=0.0
        )
    else:
        optimizer = Optimizer(schedule="linear")
    by_rank = loaded.labels is not None and not head.has_weights
    devices = devices_of(model.opened.settings).shape[DATA]
    return Run(
        trains="prompt+head" if head.has_weights else "prompt",
        model=model.opened.settings,
        data=Data(
            task=task,
            input_length=min(inputs, max(LONGEST_INPUT - prompt_length, 1)),
            target_length=min(targets, LONGEST_TARGET),
        ),
        prompt=prompt,
        head=head,
        optimizer=optimizer,
        evaluation=Evaluation(
            method="rank" if by_rank else "greedy",
            batch_size=max(EVALUATION_BATCH // devices, 1) * devices,
        ),
    )


def _longest(task: Task) -> tuple[int, int]:
    """Returns the tokens of the longest input, and of the longest answer."""
    inputs = targets = 1
    for split in task.splits:
        for pair in task.pairs(split, range(task.num_examples(split))):
            inputs = max(inputs, len(pair.inputs))
            targets = max(targets, len(pair.targets))
    if task.answers is None and task.words is not None:
        most = LONGEST_TARGET
        targets = max(targets, task.word_ids(most).shape[1])
    return inputs, targets


def _read_splits(
    data: Any, asked: _Asked, validation: Any, seed: int
) -> dict[str, Table]:
    """Reads the rows of each split, and makes a split to validate on."""
    named = {"train": data}
    if isinstance(data, Mapping):
        unknown = [split for split in data if split not in _SPLITS]
        if "train" not in data:
            raise ValueError(
                f"data is a dict of {listed(map(str, data))}: name splits, as "
                '{"train": rows, "validation": rows}, or give a list of dicts'
            )
        if unknown:
            say(f"data has splits that are not used: {listed(map(str, unknown))}")
        named = {split: data[split] for split in _SPLITS if split in data}
    validation = validation.item() if isinstance(validation, np.generic) else validation
    if not isinstance(validation, int | float):
        if "validation" in named:
            raise ValueError(
                "validation rows, and a split 'validation' in data: give one of them"
            )
        named["validation"] = validation
    rows = {
        split: read_data(part, "data" if part is data else split, asked.fields)
        for split, part in named.items()
    }
    if "validation" not in rows:
        rows["train"], rows["validation"] = split_rows(
            rows["train"], validation, asked.label, seed
        )
    if asked.label is not None:
        for row in (row for part in rows.values() for row in part):
            asked.label(row)
    return {split: Table(tuple(rows[split])) for split in _SPLITS if split in rows}
