"""A frozen model in memory, which answers behind any prompt."""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_type_hints

import numpy as np
from jaxtyping import Float

from jaxprompt import startup
from jaxprompt.config import WORDS, Data, Evaluation, Model, OwnTask, Run
from jaxprompt.config.answering import answering_run
from jaxprompt.data.read.files import Row
from jaxprompt.data.rows.requests import check_request
from jaxprompt.field_types import check_value
from jaxprompt.interactive.rows import read_asked
from jaxprompt.interactive.settings import changed
from jaxprompt.models.attention_form import Asked
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.options import Precision, Remat
from jaxprompt.prompts.file import read_tuned
from jaxprompt.prompts.prompt import Prompt, empty_prompt
from jaxprompt.prompts.tuned import TunedPrompt
from jaxprompt.runs.answering import PROBABILITIES, Answerer, Answering, make_answering
from jaxprompt.runs.keep.prompt_files import find_prompts
from jaxprompt.runs.ready.frozen import Frozen, OpenedModel, find_model
from jaxprompt.runs.ready.job import Job
from jaxprompt.runs.ready.prepare import check_head, check_slots, devices_of
from jaxprompt.runs.ready.trained_on import check_prompts
from jaxprompt.screen.quoting import listed, quoted, quoted_path
from jaxprompt.shapes import Params
from jaxprompt.sharding import check_batch_size

BLOCK = 4096
"""Rows that are tokenised and answered at once."""

_READ_BY = {
    "beams": "beam",
    "alpha": "beam",
    "top_p": "nucleus",
    "temperature": "nucleus",
}
"""Setting of `config.Evaluation` -> the one method that reads it."""

_OF_SCORES = ("num_examples", "hand_written", "examples_in_input", "gold")
"""Those that only a run's scores follow."""

INPUT_LENGTH, MAX_TOKENS = 1024, 64
"""Longest text and longest answer, in tokens, where no prompt says otherwise."""


def load(
    name: str | Path,
    *,
    revision: str | None = None,
    vocabulary: str | None = None,
    dtype: str = "float32",
    quantise: Literal["none", "int8"] = "none",
    precision: Precision = "float32",
    attention: Asked = "auto",
    dropout: float = 0.0,
    remat: Remat = "dots",
    mesh_data: int = -1,
    mesh_model: int = 1,
    weights_over_data: bool = False,
) -> "FrozenModel":
    """Loads a frozen model: a Hub name, a folder, a GGUF file or "bundled:nano".

    Compiled programs are kept for the next process, in ~/.cache/jaxprompt/compiled,
    unless JAX's own settings say otherwise.

    Example:
        ```python
        model = load("bundled:nano")
        model.generate(["a text"])
        backbone, params = model  # For the functions that take these.
        ```

    Args:
        name: As for `models.load.find_checkpoint`.
        revision: Branch, tag or commit of the Hub repository.
        vocabulary: A `spiece.model`, where the checkpoint has none.
        dtype: "float32" or "bfloat16", of the weights and to compute in.
        quantise: "int8" stores every matrix in int8; "none" does not.
        precision: What float32 products are computed in: "float32", "tensorfloat32"
            (GPUs and TPUs) or "bfloat16". It holds for the process from now on, and
            JAX_DEFAULT_MATMUL_PRECISION wins.
        attention: The form of its attention: "auto", or one of
            `models.attention_form`.
        dropout: Share of features to drop in training.
        remat: What the backward pass computes again: "none", "dots" or "full".
        mesh_data: Devices that split a batch; -1 for all that are left.
        mesh_model: Devices that split the weights.
        weights_over_data: Whether the devices that split a batch split the weights too.

    Raises:
        FileNotFoundError: If a file is missing.
        ValueError: If the files are those of no family that can be read, or an option
            is unknown.
    """
    startup.leave_out_absent_tpu()
    startup.use_compilation_cache()
    options: dict[str, Any] = {
        "name": str(name) if isinstance(name, Path) else name,
        "revision": revision,
        "vocabulary": None if vocabulary is None else str(vocabulary),
        "dtype": dtype,
        "quantise": quantise,
        "precision": precision,
        "attention": attention,
        "remat": remat,
        "dropout": dropout,
        "mesh_data": mesh_data,
        "mesh_model": mesh_model,
        "weights_over_data": weights_over_data,
    }
    hints = get_type_hints(Model)
    for option, value in options.items():
        check_value(option, value, hints[option])
    opened = find_model(Model(**options))
    model = FrozenModel(opened)
    _ = model.params
    return model


@dataclasses.dataclass(frozen=True, repr=False, eq=False)
class FrozenModel:
    """A model whose weights never change. Made by `load`.

    It unpacks as (backbone, params), which the functions of the lower level take.

    Attributes:
        opened: Its files and its settings.
    """

    opened: OpenedModel

    @property
    def backbone(self) -> Backbone:
        """The model's functions."""
        return self.opened.backbone

    @functools.cached_property
    def params(self) -> Params:
        """The weights, in their places: the tree under "model" of the joined tree."""
        return self.opened.weights(devices_of(self.opened.settings))

    @functools.cached_property
    def frozen(self) -> Frozen:
        """The same with its vocabulary; ValueError if it has none."""
        return self.opened.load(devices_of(self.opened.settings))

    def __iter__(self) -> Iterator[Any]:
        yield self.backbone
        yield self.params

    def __repr__(self) -> str:
        settings = self.opened.settings
        return f"<{self.backbone.name}, frozen, {settings.dtype}>"

    def generate(
        self,
        rows: Any,
        *,
        prompt: "AnyPrompt" = None,
        max_tokens: int | None = None,
        another_backbone: bool = False,
        **evaluation: Any,
    ) -> list[str]:
        """Answers rows.

        Behind a tuned prompt a row is asked, and answered, as in its training: its
        template is filled in, and a prompt of labels answers by one of them. A text
        then stands for the one field of the template; {"inputs": text} is a whole
        input. Without a prompt, or behind one that says nothing of its task, a text is
        the whole input, cut behind `INPUT_LENGTH` tokens, and the model writes on.

        Args:
            rows: Texts; or rows with the template's fields: dicts, a data frame, or a
                `datasets.Dataset`.
            prompt: A prompt, as `tune` makes them, or the path of a prompt file or of a
                run's folder; None for the model alone.
            max_tokens: Most tokens of an answer, end-of-sequence included; None takes
                what the prompt says, or `MAX_TOKENS`.
            another_backbone: Allows a prompt that was trained on another model.
            **evaluation: Other settings of `config.Evaluation` that answers follow, as
                batch_size=64; method="beam" with beams=4 or alpha=0.6; method="nucleus"
                with top_p=0.9 or temperature=0.7.

        Returns:
            The answers, in the order of the rows.

        Raises:
            ValueError: If a row, the prompt or a setting does not fit.
            FileNotFoundError: If there is no such prompt file.
        """
        asked = self._asked(prompt, another_backbone)
        if max_tokens is not None:
            if isinstance(max_tokens, np.integer):
                max_tokens = int(max_tokens)
            check_value("max_tokens", max_tokens, int)
            if max_tokens < 1:
                raise ValueError(f"max_tokens {max_tokens}: use 1 token or more")
            evaluation["decode_length"] = max_tokens
        settings = {f"Evaluation.{name}": x for name, x in evaluation.items()}
        run = changed(asked.run, settings)
        _check_read(evaluation, run.evaluation.method)
        answering = self._ready(asked, run)
        answerer, texts = Answerer([answering]), list[str]()
        for block in _blocks(rows, answering.job):
            texts += answerer(block, [0] * len(block), _tell_nobody).texts
        # Of a decoder, it begins with the space that parts it from its text.
        return [text.removeprefix(" ") for text in texts]

    def scores(
        self,
        rows: Any,
        labels: Sequence[str] | None = None,
        *,
        prompt: "AnyPrompt" = None,
        batch_size: int | None = None,
        another_backbone: bool = False,
    ) -> Float[np.ndarray, "R C"]:
        """Says how likely each label is for each row.

        Args:
            rows: As of `generate`.
            labels: The labels' words; None takes those of a tuned prompt, in the order
                of its task. A head has its own alone. Behind a whole text a decoder's
                begin with a space, as what it writes there.
            prompt: As of `generate`.
            batch_size: Rows of a batch; None takes what the prompt says.
            another_backbone: As of `generate`.

        Returns:
            float64, of each of R rows and C labels; 1 in sum for each row. Words count
            by what the model gives them, end-of-sequence included.

        Raises:
            ValueError: As `generate`; or if there are no labels, or others than those
                of a head.
        """
        asked = self._asked(prompt, another_backbone)
        settings: dict[str, Any] = {}
        if asked.run.head.kind == WORDS:
            settings["Evaluation.method"] = "rank"
        if batch_size is not None:
            settings["Evaluation.batch_size"] = batch_size
        run = asked.run
        if run == bare_run() and self.backbone.config.causal:
            run = bare_run(behind=" {mask:1}")
        run = changed(run, settings)
        has_labels = run.data.tasks[0].label_words_in_order
        if run.head.kind != WORDS and not has_labels:
            raise ValueError(
                f"a head of {run.head.kind} gives a row no label that could be scored: "
                "ask model.generate for its answer, or `jaxprompt predict --scores` "
                "for how likely that is"
            )
        if labels is not None:
            run = _with_labels(run, labels)
        answering = self._ready(asked, run)
        known = answering.job.task.row_labels
        if not known:
            raise ValueError(
                "no labels to score: give their words, as "
                'model.scores(rows, ["bad", "good"])'
            )
        answerer, found = Answerer([answering], scores=True), []
        for block in _blocks(rows, answering.job):
            told = answerer(block, [0] * len(block), _tell_nobody).more
            found += [[*row[PROBABILITIES].values()] for row in told]
        return np.array(found, float).reshape(len(found), len(known))

    def _asked(self, prompt: "AnyPrompt", another_backbone: bool) -> "_Asked":
        """Returns a prompt of any kind with its run, once it is known to fit."""
        if prompt is None:
            return _Asked(bare_run(), empty_prompt(self.backbone.width))
        if isinstance(prompt, str | Path):
            prompt = _read(prompt)
        if isinstance(prompt, Prompt):
            if prompt.width != self.backbone.width or prompt.members != 1:
                raise ValueError(
                    f"a bank of {prompt.members} prompts of width {prompt.width} for a "
                    f"model of width {self.backbone.width}: give one prompt, of this "
                    "model"
                )
            return _Asked(bare_run(), prompt)
        if not isinstance(prompt, TunedPrompt):
            raise ValueError(
                f"prompt is {quoted(prompt)}: give a prompt, as result.prompt of what "
                "`tune` returns, or the path of a prompt file"
            )
        said = prompt.provenance
        check_prompts([said], self.backbone, another_backbone=another_backbone)
        run = answering_run(said.answering, "this prompt") if said.answering else None
        return _Asked(run or bare_run(), prompt.prompt, prompt.head)

    def _ready(self, asked: "_Asked", run: Run) -> Answering:
        """Puts a prompt on the model; what was compiled for such a run serves again."""
        check_batch_size(run.evaluation.batch_size, self.frozen.mesh)
        key = repr(run), bool(asked.prompt.deep)
        if key not in self._jobs:
            if self.backbone.config.encoder_only and run.head.kind == WORDS:
                raise ValueError(
                    f"{self.backbone.name} is an encoder, which writes no words: give "
                    "a prompt with a head, as prompt=result.prompt of what `tune` "
                    "returns"
                )
            check_head(run, self.opened)
            task = run.load(run.data.tasks[0], self.frozen.vocabulary)
            self._jobs[key] = make_answering(
                self.frozen, [run], [task], [asked.prompt], [asked.head]
            )[0].job
        job = self._jobs[key]
        check_slots(job.task, [asked.prompt.length])
        return Answering(job, asked.prompt, asked.head)

    @functools.cached_property
    def _jobs(self) -> dict[tuple[str, bool], Job]:
        return {}


def _check_read(evaluation: Iterable[str], method: str) -> None:
    """Raises ValueError for a setting that answers by this method do not follow."""
    for name in evaluation:
        if name in _OF_SCORES:
            raise ValueError(
                f"{name} is of scores, and no answer follows it: leave it out"
            )
        if _READ_BY.get(name, method) != method:
            raise ValueError(
                f"{name} is read by method {_READ_BY[name]!r}, but these answers are "
                f"by {method!r}: give method={_READ_BY[name]!r} too, or leave it out"
            )


AnyPrompt = TunedPrompt | Prompt | str | Path | None
"""What stands in front of a text: a prompt, its file or a run's folder, or nothing."""


class _Asked(NamedTuple):
    """A prompt and the run that answers behind it."""

    run: Run
    prompt: Prompt
    head: Params = {}  # noqa: RUF012


def bare_run(behind: str = "") -> Run:
    """Returns the run of texts that are the whole input, of no task.

    Args:
        behind: What stands in the template behind the text.
    """
    task = OwnTask(name="text", inputs=f"{{inputs}}{behind}", target="inputs")
    return Run(
        data=Data(task=task, input_length=INPUT_LENGTH, target_length=MAX_TOKENS),
        evaluation=Evaluation(method="greedy"),
    )


def _with_labels(run: Run, labels: Sequence[str]) -> Run:
    """Returns the run with other label words."""
    (task,) = run.data.tasks
    if isinstance(labels, str):
        raise ValueError(f"labels is the text {labels!r}: give a list of words")
    for place, word in enumerate(labels):
        if not isinstance(word, str):
            raise ValueError(f"labels[{place}] is {quoted(word)}: give a word")
    if len({*labels}) < len(labels):
        raise ValueError(
            f"labels {listed(labels)}: a word stands there twice, and a row of scores "
            "has one number for each, so leave one out"
        )
    if tuple(labels) == task.label_words_in_order:
        return run
    other = task.with_labels(labels) if run.head.kind == WORDS else None
    if other is None:
        raise ValueError(
            f"labels {listed(labels)} for a prompt of {task.label}, which has its own, "
            f"{listed(task.label_words_in_order)}: leave labels out"
        )
    data = dataclasses.replace(run.data, task=other, target_length=MAX_TOKENS)
    return dataclasses.replace(run, data=data)


def _read(place: str | Path) -> TunedPrompt:
    files = find_prompts([str(place)])
    if len(files) > 1:
        raise ValueError(
            f"{quoted_path(place)} holds {len(files)} prompts: name one of them, as "
            f"{quoted_path(files[0])}"
        )
    return read_tuned(files[0])


def _blocks(rows: Any, job: Job) -> Iterator[dict[int, Row]]:
    """Reads and checks all rows, and yields those that are answered at once."""
    found = read_asked(rows, "rows", job.task.request_fields)
    for number, row in enumerate(found):
        check_request(job.task, row, number, job.run.data.target_length)
    for first in range(0, len(found), BLOCK):
        yield dict(enumerate(found[first : first + BLOCK], start=first))


def _tell_nobody(examples: int, padding: float) -> None:
    """Takes the progress of answers that nobody watches."""
    del examples, padding
