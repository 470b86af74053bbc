"""A job: a run's settings and tasks on a frozen model, ready for any command."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax

from jaxprompt.config import Run
from jaxprompt.config.answering import answering_run
from jaxprompt.data.rows.layout import Lengths
from jaxprompt.data.rows.sample import Sample
from jaxprompt.data.rows.widths import scored_rows
from jaxprompt.data.tasks.few_shot import few_shot_task
from jaxprompt.data.tasks.shots import asked_by_hand
from jaxprompt.data.tasks.task import Task
from jaxprompt.data.tasks.threads import Threads
from jaxprompt.data.tasks.windows import in_windows
from jaxprompt.evaluate.choose import (
    Likely,
    make_choose,
    make_likely,
    make_word_scores,
)
from jaxprompt.evaluate.evaluation_set import Scores
from jaxprompt.evaluate.likelihood import Likelihood, make_likelihood
from jaxprompt.evaluate.score import Predict, make_candidates, make_predict
from jaxprompt.heads.head import Head, Scorer
from jaxprompt.heads.kinds import Layer, make_head
from jaxprompt.heads.labels import padded, without_padding
from jaxprompt.heads.words import WORDS
from jaxprompt.models.config import SiteName
from jaxprompt.models.prefix import KeysValues
from jaxprompt.prompts.deep_start import DRAWN, init_deep, with_dropout
from jaxprompt.prompts.file import load_head, load_prompt
from jaxprompt.prompts.init import init_prompt, start_from_file
from jaxprompt.prompts.prompt import Prompt, empty_prompt, stack, unstack
from jaxprompt.prompts.reparametrise import REPARAMETRISATIONS
from jaxprompt.prompts.reparametrise.shared import Shared, weighted
from jaxprompt.prompts.trained import Trained, join_heads, join_members, unstack_head
from jaxprompt.runs.ready.frozen import Frozen
from jaxprompt.screen.quoting import listed, quoted_path
from jaxprompt.shapes import Params
from jaxprompt.sharding import DATA, place_batch
from jaxprompt.train.loop import Rows

_FEW_TOKENS = 8
"""Most tokens of an answer that take little time beside reading the question."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a run is to do with a frozen model.

    Attributes:
        frozen: The model.
        run: The configuration.
        tasks: Its tasks, tokenised for the model.
        shift_to: Tasks that are scored too, but not trained.
        known: Scores of the frozen model alone, by all that decides them: jobs that
            share the model measure each once.
    """

    frozen: Frozen
    run: Run
    tasks: tuple[Task, ...]
    shift_to: tuple[Task, ...] = ()
    known: dict[str, Scores] = dataclasses.field(default_factory=dict)

    @property
    def task(self) -> Task:
        """The run's task; the first of several."""
        return self.tasks[0]

    @property
    def members(self) -> list[tuple[int, int]]:
        """(number of the task, seed) of each prompt, in the order of the bank."""
        first = self.run.seed
        seeds = range(first, first + self.run.seeds)
        return [(number, seed) for number in range(len(self.tasks)) for seed in seeds]

    def learned(self, place: int, seed: int) -> Task:
        """Returns a task with the rows that a member learns from: all, or few.

        Args:
            place: Number of the task.
            seed: Of the member.

        Raises:
            ValueError: As `data.tasks.few_shot.choose_rows`.
        """
        data = self.run.data
        if data.few_rows is None:
            return self.tasks[place]
        if (place, seed) not in self._learned:
            self._learned[place, seed] = few_shot_task(
                self.tasks[place], data.train_split, data.few_rows, seed
            )
        return self._learned[place, seed]

    @functools.cached_property
    def _learned(self) -> dict[tuple[int, int], Task]:
        return {}

    def trained(self, place: int, seed: int) -> Task:
        """Returns `learned` as it trains: windows, or answers that share rows."""
        task = self.learned(place, seed)
        if id(task) not in self._trained:
            data = self.run.data
            made = in_windows(task, data.train_split, data.input_length)
            if made.has_threads:
                inputs = data.input_length + len(made.before_ids)
                room = self._shared_room(place)
                made = self._threads(made).in_shared_rows(inputs, room)
            self._trained[id(task)] = made
        return self._trained[id(task)]

    def _shared_room(self, place: int) -> int:
        """Returns how many target tokens answers of a conversation share in a row.

        It is of all rows of the task, whichever of them a member learns from.
        """
        task, data = self.tasks[place], self.run.data
        inputs = data.input_length + len(task.before_ids)
        prompt = self.run.prompt
        front = prompt.length + max(prompt.deep.values(), default=0)
        positions = self.frozen.backbone.config.positions or front + 2 * inputs
        most = min(inputs, positions - front - inputs)
        return self._threads(task).best_room(inputs, data.target_length, most)

    def _threads(self, task: Task) -> Threads:
        if id(task) not in self._of_threads:
            self._of_threads[id(task)] = Threads(task, self.run.data.train_split)
        return self._of_threads[id(task)]

    @functools.cached_property
    def _of_threads(self) -> dict[int, Threads]:
        return {}

    @functools.cached_property
    def _trained(self) -> dict[int, Task]:
        return {}

    @functools.cached_property
    def head(self) -> Head:
        """What turns the model's states into the answers of its tasks."""
        return WORDS if self.task.answers is None else self.chooser

    @functools.cached_property
    def chooser(self) -> Scorer:
        """What scores what its tasks choose from, which are put to a head."""
        return self._head_of(self.tasks)

    def _head_of(self, tasks: Sequence[Task]) -> Scorer:
        start = self.run.head
        layer = Layer(
            start.pooling, start.pooler, start.dropout, start.stddev, start.longest
        )
        return make_head([one.answers for one in tasks if one.answers], layer)

    def start_head(self, *, new: bool = False) -> Params:
        """Makes the bank of heads that training starts from; {} for words.

        All have the columns of the task with the most labels.

        Args:
            new: Draw all, whatever file they are to go on from.
        """
        if not self.run.head.has_weights:
            return {}
        members = self.members or [(0, self.run.seed)]
        columns = {*map(num_columns, self.tasks)}
        if self.run.optimizer.kind == "adafactor" and len(columns) > 1:
            raise ValueError(
                f"heads of {listed(map(str, sorted(columns)))} labels in one bank with "
                "'adafactor', whose steps depend on the whole of a head: use "
                "--gin.Optimizer.kind=adamw, or train each task alone"
            )
        most = max(columns)
        return join_heads(
            [
                padded(self._start_head(self.tasks[place], seed, new), most)
                for place, seed in members
            ]
        )

    def _start_head(self, task: Task, seed: int, new: bool) -> Params:
        backbone, file = self.frozen.backbone, self.run.head.file
        key = jax.random.fold_in(jax.random.key(seed), 2)
        drawn = self._head_of([task]).init(key, backbone, self.frozen.model)
        if new or not file:
            return drawn
        head = load_head(file)
        try:
            join_heads([drawn, head])  # It refuses other shapes.
        except ValueError as error:
            raise ValueError(
                f"HeadStart.file {quoted_path(file)} for task {task.name}: {error}: "
                "name the file of a prompt with this task's own head"
            ) from error
        _check_label_order(file, task)
        return head

    def own_heads(self, bank: Params) -> list[Params]:
        """Takes the heads of members apart, each with its task's labels alone."""
        heads = unstack_head(bank, len(self.members))
        if not self.run.head.has_weights:
            return heads
        return [
            without_padding(head, num_columns(self.tasks[place]))
            for head, (place, _) in zip(heads, self.members, strict=True)
        ]

    @property
    def lengths(self) -> Lengths:
        """Longest texts, in tokens, and room for what a head answers."""
        answers, targets = self.task.answers, self.run.data.target_length
        if answers is not None:
            targets = answers.targets(targets)
        return Lengths(self.run.data.input_length, targets, self.frozen.folds)

    def sample(self, task: Task, split: str, prompt_length: int) -> Sample:
        """Returns the rows of a split that the run scores, behind a prompt."""
        soft_ids = self.frozen.soft_ids(prompt_length)
        count = self.run.evaluation.num_examples
        return Sample(task, split, self.lengths, soft_ids, num_examples=count)

    def scored_rows(self, count: int) -> int:
        """Returns how many rows a batch has, of so many that are scored.

        It is whole for a decoder-only model, which reads what stands in front of all
        rows once for each batch, for an encoder-only one, which is too small to gain,
        for packed rows, and where much is written: every token reads all weights once
        for each batch.
        """
        run, config = self.run, self.frozen.backbone.config
        asked, writes = run.evaluation.batch_size, run.evaluation.method != "rank"
        long = writes and self._decode_length > _FEW_TOKENS
        if config.causal or config.encoder_only or long or run.data.pack:
            return asked
        return scored_rows(
            asked,
            count,
            devices=self.frozen.mesh.shape[DATA],
            backend=jax.default_backend(),
        )

    def row_lengths(self, place: int) -> Lengths:
        """Returns the room of a training row, which several answers may share."""
        if not self.tasks[place].has_threads:
            return self.lengths
        return dataclasses.replace(self.lengths, targets=self._shared_room(place))

    def training_lengths(self, prompt_length: int) -> Lengths:
        """Returns the room of a training row.

        Behind a prompt, a packed row has the targets of as many short examples as fit:
        for every task alike, or a member of a bank would share its rows with others
        than alone. An unpacked row whose answers are label words has no more target
        tokens than the longest needs; not with dropout, for a mask is drawn for every
        position, and has to be the one that the member gets alone. Where answers of a
        conversation share a row, it has room for them.
        """
        rows = map(self.row_lengths, range(len(self.tasks)))
        targets = max((one.targets for one in rows), default=self.lengths.targets)
        lengths, longest = dataclasses.replace(self.lengths, targets=targets), 0
        if self.run.tunes_model:
            # The lead would be read without dropout.
            lengths = dataclasses.replace(lengths, folds=False)
        if self.run.data.pack:
            folds = lengths.folds and self.frozen.backbone.causal
            soft = min(prompt_length, 1) if folds else prompt_length
            if self.run.trains_bank:
                targets = max(self.lengths.packed_targets(soft), targets)
            # An example is cut where it is without packing.
            return dataclasses.replace(
                lengths, targets=targets, longest_target=lengths.targets
            )
        if self.run.model.dropout or self.task.answers is not None:
            return lengths
        for task in self.tasks:
            if task.labels is None:
                return lengths
            longest = max(longest, task.label_ids(lengths.targets).shape[1])
        return dataclasses.replace(lengths, targets=longest)

    def place_training_batch(self, batch: Rows) -> Rows:
        """Moves this host's rows of a batch of all members to the devices."""
        return place_batch(batch, self.frozen.mesh, self.run.num_members)

    def start_prompt(self) -> Prompt:
        """Makes the bank that training starts from; empty if no prompt trains."""
        if self.run.tunes_model:
            return self._empty
        if self.run.trains == "head":
            return stack([self._empty for _ in self.members])
        return stack(
            [self._start_of(self.tasks[number], seed) for number, seed in self.members]
        )

    def reparametrised(self, start: Prompt) -> Trained:
        """Makes what trains, each member's with a key of its own seed."""
        if self.run.tunes_model:
            return start
        settings = self.run.prompt
        make = REPARAMETRISATIONS[settings.reparametrise]
        keys = (jax.random.key(seed) for _, seed in self.members)
        bank = join_members(
            [
                make(jax.random.fold_in(key, 1), prompt)
                for key, prompt in zip(keys, unstack(start), strict=True)
            ]
        )
        if isinstance(bank, Shared) and settings.mixing == "size":
            split = self.run.data.train_split
            sizes = [self.trained(*one).num_examples(split) for one in self.members]
            return weighted(bank, sizes, settings.temperature)
        return bank

    @property
    def _empty(self) -> Prompt:
        return empty_prompt(self.frozen.backbone.width)

    def _start_of(self, task: Task, seed: int) -> Prompt:
        start, backbone = self.run.prompt, self.frozen.backbone
        if start.init == "file":
            sizes = backbone.width, start.length, start.deep
            return with_dropout(start_from_file(start.file, *sizes), start.deep_dropout)
        key = jax.random.key(seed)
        prompt = self._empty
        if start.length:
            prompt = self._start_rows(task, key, start.length, start.init)
        if not start.deep:
            return prompt
        deep_key = jax.random.fold_in(key, 0)

        def read(length: int) -> Mapping[SiteName, KeysValues]:
            tokens = self._start_rows(task, deep_key, length, start.deep_init)
            return self._keys_values(self.frozen.model, tokens.rows)

        deep = init_deep(
            deep_key,
            backbone.config.sites,
            backbone.config.heads,
            start.deep_start,
            None if start.deep_init == DRAWN else read,
        )
        return dataclasses.replace(prompt, deep=deep)

    @functools.cached_property
    def _keys_values(self) -> Callable[..., Mapping[SiteName, KeysValues]]:
        return jax.jit(self.frozen.backbone.keys_values)

    def _start_rows(
        self, task: Task, key: jax.Array, length: int, method: str
    ) -> Prompt:
        start = self.run.prompt
        return init_prompt(
            key,
            self.frozen.backbone.table(self.frozen.model),
            length=length,
            method=method,
            low=start.low,
            high=start.high,
            stddev=start.stddev,
            top=start.top,
            words=tuple(start.words) or task.start_words,
            text=start.text,
            file=start.file,
            encode=task.vocabulary.encode,
        )

    def asked_by_hand(self, task: Task) -> Task | None:
        """Returns a task behind the run's hand-written prompt; None if it has none.

        Examples of the training split, if asked for, stand behind the text: the input
        of each and its target, the same ones in every run of the seed.
        """
        evaluation, shown = self.run.evaluation, task
        if evaluation.examples_in_input:
            shown = self.learned(self.tasks.index(task), self.run.seed)
        asked = asked_by_hand(
            shown,
            evaluation.hand_written,
            split=self.run.data.train_split,
            shots=evaluation.examples_in_input,
            seed=self.run.seed,
        )
        return asked and dataclasses.replace(asked, source=task.source)

    def predict(self, task: Task, seeds: Sequence[int] | None = None) -> Predict:
        """Returns the run's way from a task's batch to target ids; compiled once.

        Args:
            task: The task.
            seeds: Seed of each member of the bank; None for the run's own members.
        """
        if seeds is None:
            seeds = [seed for _, seed in self.members]
        if task.answers is not None:
            return self._choose
        # Only ranking depends on the task: it chooses from its label words.
        words = task.words if self.run.evaluation.method == "rank" else None
        key = (words, tuple(seeds))
        if key not in self._compiled:
            self._compiled[key] = self._compile(task, seeds)
        return self._compiled[key]

    @functools.cached_property
    def _choose(self) -> Predict:
        backbone, place = self.frozen.backbone, self.frozen.place_batch
        return make_choose(backbone, self.chooser, place)

    @functools.cached_property
    def likely(self) -> Likely:
        """The way from a batch to how likely a head's answers are; compiled once."""
        backbone, place = self.frozen.backbone, self.frozen.place_batch
        return make_likely(backbone, self.chooser, place)

    def word_scores(self, task: Task) -> Likely:
        """Returns the way from a batch to the scores of label words; compiled once.

        Args:
            task: The task, which has labels.
        """
        if task.words not in self._word_scores:
            self._word_scores[task.words] = make_word_scores(
                self.frozen.backbone,
                task,
                self._decode_length,
                self.frozen.place_batch,
            )
        return self._word_scores[task.words]

    @functools.cached_property
    def _word_scores(self) -> dict[Any, Likely]:
        return {}

    def candidates(self, count: int) -> Predict:
        """Returns the way to several answers to each row; compiled once.

        Args:
            count: How many, at most the run's beams.
        """
        if count not in self._candidates:
            evaluation = self.run.evaluation
            self._candidates[count] = make_candidates(
                self.frozen.backbone,
                self.task,
                count=count,
                length=self._decode_length,
                beams=evaluation.beams,
                alpha=evaluation.alpha,
                place=self.frozen.place_batch,
            )
        return self._candidates[count]

    @functools.cached_property
    def _candidates(self) -> dict[int, Predict]:
        return {}

    @functools.cached_property
    def likelihood(self) -> Likelihood:
        """The way from a batch with answers to how likely each is; compiled once."""
        return make_likelihood(self.frozen.backbone, self.frozen.place_batch)

    @property
    def _decode_length(self) -> int:
        return self.run.evaluation.decode_length or self.run.data.target_length

    @functools.cached_property
    def _compiled(self) -> dict[tuple, Predict]:
        return {}

    def _compile(self, task: Task, seeds: Sequence[int]) -> Predict:
        evaluation = self.run.evaluation
        return make_predict(
            self.frozen.backbone,
            task,
            method=evaluation.method,
            length=self._decode_length,
            beams=evaluation.beams,
            alpha=evaluation.alpha,
            top_p=evaluation.top_p,
            temperature=evaluation.temperature,
            seeds=seeds,
            place=self.frozen.place_batch,
        )


def num_columns(task: Task) -> int:
    """Returns the columns of a layer that is trained for a task; 0 for words."""
    return 0 if task.answers is None else task.answers.columns


def _check_label_order(file: str, task: Task) -> None:
    """Refuses a head whose columns are of the same labels in another order.

    Labels that are called otherwise are those of this task under other words.
    """
    _, provenance = load_prompt(file)
    if not provenance.answering:
        return  # Saved by plain Python, which does not say what it answers.
    tasks = answering_run(provenance.answering, file).data.tasks
    own = [one for one in tasks if one.label == provenance.task] or tasks
    theirs, ours = list(own[0].label_words_in_order), list(task.labels or ())
    if theirs != ours and sorted(theirs) == sorted(ours):
        raise ValueError(
            f"HeadStart.file {quoted_path(file)}: its columns are {', '.join(theirs)}, "
            f"those of task {task.name} are {', '.join(ours)}: give the task's labels "
            "in the order of the file"
        )
