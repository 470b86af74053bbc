"""The settings of each part of a run, each checked on its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from jaxprompt.config.own_tasks import OwnSpans, OwnTask
from jaxprompt.config.task_settings import TaskSettings
from jaxprompt.config.tasks import AnyTask, OfficialTask, TaskGroup
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.answers.kinds import KINDS, WORDS
from jaxprompt.data.tasks.few_shot import DEVELOPMENT, FewRows
from jaxprompt.evaluate.methods import METHODS as EVALUATION_METHODS
from jaxprompt.evaluate.methods import check_method
from jaxprompt.field_types import check_finite
from jaxprompt.models.families import AnyConfig

if TYPE_CHECKING:
    from jaxprompt.prompts.deep_start import DeepStart

# What needs JAX is imported when settings are checked: first gin's names are.

LOSS = "loss"
"""The method that decodes nothing; see `evaluate.loss`."""

MOST_TOKENS = 2**17
"""Of a text, an answer or a prompt: as long a context as any model here has."""

MOST_LAYERS = 2**10
"""Of one site: no model here has more."""

COOCCURRENCE = "cooccurrence"
"""Embeddings that start from the text; see `data.pretraining.cooccurrence`."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model and where it lives; see `models.load.load`.

    Attributes:
        name: Hub name, Hugging Face folder, T5X checkpoint folder or GGUF file.
        architecture: Sizes of a new model of random weights, instead of a name; it
            needs a vocabulary.
        embeddings: How a new model's embedding table starts: "random", or
            "cooccurrence", which needs a `TextTask`.
        revision: Commit, tag or branch on the Hub.
        vocabulary: A `spiece.model`; None takes the one beside the weights.
        dtype: Of the weights and the computation, "float32" or "bfloat16".
        quantise: "int8" stores the frozen matrices in int8, a scale for each output
            channel, or where a GGUF file holds Q8_0 or Q4_0 as it has them, and
            computes in `dtype`; "none" does not.
        precision: What float32 products are computed in where a device has a choice:
            "float32", in which logits are the same to 1e-4 on all; "tensorfloat32",
            faster on NVIDIA's GPUs, and three bfloat16 products on a TPU; "bfloat16",
            one of them, and faster on CPUs that multiply bfloat16. A model in bfloat16
            has no such choice.
        attention: "auto" takes the form of attention that suits the devices; "plain",
            "chunked", "cudnn" or "splash" asks for one, and is refused where it is not
            able to; see `models.attention_form`.
        remat: What the backward pass computes again: "none", "dots" or "full".
        dropout: Rate in training.
        mesh_data: Devices that split the batch; -1 for all that are left.
        mesh_model: Devices that split the weights.
        weights_over_data: Whether the devices that split the batch split the weights
            too: less memory, more traffic.
    """

    name: str | None = None
    architecture: AnyConfig | None = None
    embeddings: str = "random"
    revision: str | None = None
    vocabulary: str | None = None
    dtype: str = "float32"
    quantise: Literal["none", "int8"] = "none"
    precision: Literal["float32", "tensorfloat32", "bfloat16"] = "float32"
    attention: Literal["auto", "plain", "chunked", "cudnn", "splash"] = "auto"
    remat: Literal["none", "dots", "full"] = "dots"
    dropout: float = 0.0
    mesh_data: int = -1
    mesh_model: int = 1
    weights_over_data: bool = False

    def __post_init__(self) -> None:
        from jaxprompt.models.attention_form import check_form
        from jaxprompt.models.options import check_dtype, check_precision
        from jaxprompt.models.quantise import check_quantisation

        check_dtype(self.dtype)
        check_quantisation(self.quantise)
        check_precision(self.precision)
        check_form(self.attention)
        if not 0 <= self.dropout < 1:
            raise ValueError(
                f"dropout {self.dropout}: use a rate from 0, for none, to below 1"
            )
        if self.name is not None and self.architecture is not None:
            raise ValueError(
                f"model {self.name!r} and an architecture: give a name for a model "
                "that is there, or an architecture for a new one"
            )
        if self.embeddings not in ("random", COOCCURRENCE):
            raise ValueError(
                f"unknown embeddings {self.embeddings!r}: use 'random' or "
                f"{COOCCURRENCE!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """A vocabulary to train; see `data.pretraining.tokenizer.train_vocabulary`.

    Attributes:
        pieces: Pieces, the special ones included.
        sentinels: Ids behind them, which stand for what span corruption leaves out.
        character_coverage: Share of the text's characters that get a piece.
        layout: Where the special ids are; one of `data.pretraining.tokenizer.LAYOUTS`.
        leading_space: Whether a text begins with a space, so that its first word is as
            any other; False for a language without spaces.
    """

    pieces: int = 4000
    sentinels: int = 96
    character_coverage: float = 0.9998
    layout: str = "t5"
    leading_space: bool = True

    def __post_init__(self) -> None:
        from jaxprompt.data.pretraining.tokenizer import LAYOUTS

        if self.layout not in LAYOUTS:
            raise ValueError(
                f"unknown layout {self.layout!r}: use one of {list(LAYOUTS)}"
            )
        if self.sentinels < 0:
            raise ValueError(f"{self.sentinels} sentinels: use 0, for none, or more")
        if self.layout == "rinna" and self.sentinels:
            raise ValueError(
                f"{self.sentinels} sentinels in a vocabulary of layout 'rinna': a "
                "decoder-only model has none, so use sentinels 0"
            )


@dataclass(frozen=True, kw_only=True)
class Data:
    """A task and how much of it the model sees.

    Attributes:
        task: The task, or several: each gets a prompt of its own, and a model trains
            on all of them.
        input_length: Source tokens of text, end-of-sequence included; the prompt's
            soft tokens come on top.
        target_length: Target tokens, end-of-sequence included.
        add_bos: Whether a decoder's text begins with beginning-of-sequence, behind the
            soft tokens, where the model's tokenizer puts it in front of a text, as
            those of Llama, Gemma and Mistral do. Conversations begin as the model's
            chat template writes them, and a template with {bos:1} as it says.
        train_split: Split to train on.
        validation_split: Split that chooses the prompt.
        test_split: Split of the final score; None takes the validation split.
        shots_per_class: Few-shot learning: rows of each label to train on, and as many
            others of the training split, which choose the prompt in the place of the
            validation split. Each seed has rows of its own. 0 takes the whole split.
        train_examples: The same by the number of all rows.
        balanced: Whether these are of all labels in equal shares; None for tasks that
            have labels.
        pack: Whether a row of a training batch holds as many examples as fit.
        cut: Whether a training batch is cut behind its longest input and its longest
            target, each to one of a few widths: the same update in less time. With
            dropout, whose masks are drawn for every position, and on several hosts,
            which would have to agree, it is not.
        part_rows: Rows of the parts that a batch is sorted into by length, each cut for
            itself; 0 for whole batches. None takes 8 for each device on a CPU, and
            whole batches elsewhere and for texts of at most 16 tokens. Packed batches
            are whole, and those of pre-training, whose rows are full, or where
            `Optimizer.accumulate` splits batches.
        keep_states: Whether what the layers below the prompt make of each training row
            is computed once and kept, so that a step costs the layers above alone:
            those from the first that reads keys and values on; for a head alone, none.
            The prompt is the same but for rounding.
        states_in_memory: GiB of these states that the memory holds; what is larger lies
            in a file in the workdir while the run lasts.
        most_states: GiB that they may take; what is larger is refused.
        shift_to: Tasks that what was trained is scored on too, without any further
            training and without a say in which step is best: domain shift. Their
            label words must be those of the task.
        shift_split: Split of these tasks.
    """

    task: AnyTask | TaskGroup | None = None
    input_length: int = 512
    target_length: int = 8
    add_bos: bool = True
    train_split: str = "train"
    validation_split: str = "validation"
    test_split: str | None = None
    shots_per_class: int = 0
    train_examples: int = 0
    balanced: bool | None = None
    pack: bool = False
    cut: bool = True
    part_rows: int | None = None
    keep_states: bool = False
    states_in_memory: float = 4.0
    most_states: float = 32.0
    shift_to: Sequence[OfficialTask | OwnTask | OwnSpans] = ()
    shift_split: str = "validation"

    def __post_init__(self) -> None:
        Lengths(self.input_length, self.target_length)  # It refuses those below 1.
        few = self.few_rows  # It refuses numbers that do not go together.
        if self.balanced is not None and few is None:
            raise ValueError(
                f"balanced {self.balanced}, but training takes all rows: give "
                "--gin.TRAIN_EXAMPLES=32, or leave balanced out"
            )
        if self.part_rows is not None and self.part_rows < 0:
            raise ValueError(f"part_rows {self.part_rows}: use 0 or more")
        if not (self.states_in_memory >= 0 and self.most_states > 0):
            raise ValueError(
                f"states_in_memory {self.states_in_memory} and most_states "
                f"{self.most_states}, in GiB: use 0 or more, and more than 0"
            )
        check_tokens("input_length", self.input_length)
        check_tokens("target_length", self.target_length)
        for task in self.shift_to:
            if not isinstance(task, TaskSettings) or task.raw_text is not None:
                raise ValueError(
                    f"shift_to holds {task!r}, which is no task: in gin write "
                    "[@mrpc/OfficialTask()], with parentheses"
                )
        labels = [task.label for task in (*self.tasks, *self.shift_to)]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(
                f"two tasks are called {', '.join(twice)}: give each a title of its own"
            )

    @property
    def few_rows(self) -> FewRows | None:
        """How many rows training takes; None for all."""
        if not (self.shots_per_class or self.train_examples):
            return None
        return FewRows(self.shots_per_class, self.train_examples, self.balanced)

    @property
    def choosing_split(self) -> str:
        """The split that chooses the best step."""
        return DEVELOPMENT if self.few_rows else self.validation_split

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits of a task's own that training reads, each once."""
        named = [self.train_split, self.validation_split, self.scored_split]
        if self.few_rows:
            named.remove(self.validation_split)
        return tuple(dict.fromkeys(named))

    @property
    def scored_split(self) -> str:
        """The split that a finished run is scored on."""
        return self.test_split or self.validation_split

    @property
    def tasks(self) -> tuple[AnyTask, ...]:
        """The tasks one by one; empty without a task."""
        if self.task is None:
            return ()
        return self.task.tasks

    @property
    def task_name(self) -> str:
        """What the task, or the group, is called; empty without a task."""
        return self.task.label if self.task else ""


@dataclass(frozen=True, kw_only=True)
class PromptStart:
    """What a prompt is made of, and how it starts; see `prompts.init`.

    Attributes:
        length: Soft tokens P; 0 for none, where there are keys and values.
        init: One of `prompts.init.METHODS`.
        low: Lower end of "uniform".
        high: Upper end of "uniform".
        stddev: Standard deviation of "normal", and of keys and values that are drawn.
            None makes soft tokens as large as the model's embeddings, and is 1 for keys
            and values.
        top: Most frequent tokens to sample from.
        words: Of "class_labels"; empty takes the task's label words.
        text: Of "text".
        file: Of "file".
        deep: Site -> keys, and as many values, that each of its layers reads, as
            {"encoder": 20}; sites are "encoder", "decoder" and "cross".
        deep_layers: Which layers read them: their numbers, from 0, or "first:K" or
            "last:K"; empty for all.
        deep_init: "normal" draws them; any other of `prompts.init.METHODS` makes soft
            tokens by the settings above, and starts from what these become in the
            model. With `init` "file" they are those of the file.
        deep_in_front: Whether they take the positions in front of a text, which then
            begins at P; otherwise they have no position.
        deep_gated: Whether each head reads them through a gate that starts at 0: the
            first step starts from the model alone.
        deep_dropout: Share of their numbers that are zeroed in training, anew for each
            row of a batch.
        reparametrise: What trains in the prompt's place; one of
            `prompts.reparametrise.REPARAMETRISATIONS`. "shared" is one prompt for all
            tasks of a run, each with a head of its own.
        mixing: How much each task counts in a shared prompt, of which every batch has
            as many rows: "equal", or by the "size" of its training split.
        temperature: Tasks count as size ** (1 / temperature).
    """

    length: int = 100
    init: str = "class_labels"
    low: float = -0.5
    high: float = 0.5
    stddev: float | None = None
    top: int = 5000
    words: Sequence[str] = ()
    text: str = ""
    file: str = ""
    deep: Mapping[str, int] = field(default_factory=dict)
    deep_layers: Sequence[int] | str = ()
    deep_init: str = "normal"
    deep_in_front: bool = False
    deep_gated: bool = False
    deep_dropout: float = 0.0
    reparametrise: str = "none"
    mixing: Literal["equal", "size"] = "equal"
    temperature: float = 1.0

    def __post_init__(self) -> None:
        from jaxprompt.prompts.init import METHODS
        from jaxprompt.prompts.reparametrise import check_reparametrisation

        check_finite(self)
        if self.init not in METHODS:
            raise ValueError(
                f"unknown prompt initialisation {self.init!r}: use one of "
                f"{list(METHODS)}"
            )
        if isinstance(self.words, str):
            raise ValueError(
                f"PromptStart.words is the text {self.words!r}: use a list of words, "
                f"as [{self.words!r}]"
            )
        if self.length < 0:
            raise ValueError(f"prompt length {self.length}: use 0 or more rows")
        check_tokens("prompt length", self.length)
        for site, length in self.deep.items():
            if length < 1:
                raise ValueError(
                    f"PromptStart.deep has {length} keys and values at {site!r}: use 1 "
                    "or more, or leave the site out"
                )
            check_tokens(f"PromptStart.deep at {site!r}", length)
        if isinstance(self.deep_layers, str):
            from jaxprompt.prompts.deep_start import layers_of

            layers_of(self.deep_layers, MOST_LAYERS)
        if not 0 <= self.deep_dropout < 1:
            raise ValueError(
                f"PromptStart.deep_dropout {self.deep_dropout}: use a rate from 0, for "
                "none, to below 1"
            )
        if self.stddev is not None and self.stddev <= 0 and self.deep:
            raise ValueError(f"stddev {self.stddev} of keys and values: use one over 0")
        if self.mixing not in ("equal", "size") or not self.temperature > 0:
            raise ValueError(
                f"PromptStart.mixing {self.mixing!r}, temperature {self.temperature}: "
                "use 'equal' or 'size', and a temperature over 0"
            )
        if self.mixing == "size" and self.reparametrise != "shared":
            raise ValueError(
                f"PromptStart.mixing 'size' with reparametrisation "
                f"{self.reparametrise!r}: only 'shared' weighs its tasks, so use that, "
                "or leave mixing out"
            )
        if self.init == "file" and self.reparametrise in ("mlp", "lstm"):
            raise ValueError(
                f"PromptStart.init 'file' with reparametrisation "
                f"{self.reparametrise!r}, whose network starts at random, so that the "
                "file's prompt would be lost: use 'none' or another"
            )
        self._check_deep_start()
        check_reparametrisation(
            self.reparametrise, rows=self.length, deep=len(self.deep)
        )

    def _check_deep_start(self) -> None:
        from jaxprompt.prompts.deep_start import DRAWN
        from jaxprompt.prompts.init import METHODS

        if self.deep_init not in METHODS:
            raise ValueError(
                f"unknown PromptStart.deep_init {self.deep_init!r}: use one of "
                f"{list(METHODS)}"
            )
        if self.deep_init == DRAWN:
            return
        if not self.deep_in_front and any(site != "cross" for site in self.deep):
            raise ValueError(
                f"PromptStart.deep_init {self.deep_init!r} starts from tokens that "
                "stand at the positions from 0 on: set PromptStart.deep_in_front = True"
            )
        if self.reparametrise == "mlp":
            raise ValueError(
                f"PromptStart.deep_init {self.deep_init!r} with reparametrisation "
                f"'mlp', whose network starts at random: use {DRAWN!r}, or another "
                "reparametrisation"
            )

    @property
    def init_of_what_there_is(self) -> str:
        """How soft tokens start; without any, how keys and values do, if there are."""
        if self.length or self.init == "file":
            return self.init
        return self.deep_init if self.deep else ""

    @property
    def deep_start(self) -> "DeepStart":
        """How its keys and values start."""
        from jaxprompt.prompts.deep_start import DeepStart

        own = {} if self.stddev is None else {"stddev": self.stddev}
        return DeepStart(
            lengths=self.deep,
            layers=self.deep_layers,
            in_front=self.deep_in_front,
            gated=self.deep_gated,
            dropout=self.deep_dropout,
            **own,
        )

    @property
    def may_fold(self) -> bool:
        """Whether a causal model may read once what stands in front of every row.

        It does not where that would attend to other keys and values.
        """
        return not self.deep


@dataclass(frozen=True, kw_only=True)
class HeadStart:
    """What turns the model's states into answers, and how it starts; see `heads`.

    Attributes:
        kind: "words", which the model itself writes; "mask", the label word that an
            encoder's own masked-LM head finds likeliest at the template's {mask:1};
            "classes", one of the task's labels for each text; "tags", a label for each
            word; "spans", an answer that stands in a text; or "choices", one of
            several texts. The first two have no weights.
        pooling: Which state stands for a text: "token", of an encoder-only model [CLS]
            and of any other the last one; or "mean", of all tokens.
        pooler: What is between that state and the labels: "none"; "frozen", the
            checkpoint's own pooler, which trains only where the model does; or
            "trained", a pooler that learns, from the checkpoint's where it has one.
        dropout: Share of the state's features that are zeroed in training.
        stddev: Standard deviation of new weights.
        longest: Most tokens of an answer that stands in a text.
        file: A prompt file with such a head, to go on from; empty for new weights.
    """

    kind: str = WORDS
    pooling: Literal["token", "mean"] = "token"
    pooler: Literal["none", "frozen", "trained"] = "none"
    dropout: float = 0.0
    stddev: float = 0.02
    longest: int = 30
    file: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether it has weights of its own, which train."""
        return KINDS[self.kind].has_weights

    def __post_init__(self) -> None:
        check_finite(self)
        for name, known in (
            ("kind", KINDS),
            ("pooling", ("token", "mean")),
            ("pooler", ("none", "frozen", "trained")),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"HeadStart.{name} {getattr(self, name)!r}: use one of {[*known]}"
                )
        if self.longest < 1:
            raise ValueError(f"HeadStart.longest {self.longest}: use 1 token or more")
        check_tokens("HeadStart.longest", self.longest)
        if not 0 <= self.dropout < 1 or self.stddev < 0:
            raise ValueError(
                f"HeadStart.dropout {self.dropout}, stddev {self.stddev}: use a rate "
                "from 0 to below 1, and a deviation of 0 or more"
            )


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """The optimizer and the loss; see `train.optimizer` and `train.step`.

    Attributes:
        kind: One of `train.optimizer.OPTIMIZERS`.
        learning_rate: Highest rate.
        schedule: One of `train.optimizer.SCHEDULES`.
        warmup: Steps of linear warm-up.
        falls_to: Factor of the schedule "exponential".
        falls_every: Steps between its falls, as those of an epoch.
        weight_decay: Share taken off every weight in each step; with "adamw" times
            the rate, and off no norm.
        clip_norm: Largest global norm of the gradients; 0 for no clipping.
        embedding_share: Share of each step that the model's embedding table takes.
        decay_rate: Exponent of the second moment's decay ("adafactor").
        decay_offset: Step at which the second moment's decay starts ("adafactor"): 0,
            or less for a checkpoint that trained by it before, as -1_100_000.
        parameter_scale: Whether steps are in proportion to what they change
            ("adafactor").
        beta1: Decay of the first moment ("adamw").
        beta2: Decay of the second moment ("adamw").
        epsilon: Added to its root ("adamw").
        z_loss: Factor of the squared log-normaliser.
        accumulate: Microbatches that a batch is split into.
    """

    kind: str = "adafactor"
    learning_rate: float = 0.3
    schedule: str = "constant"
    warmup: int = 0
    falls_to: float = 0.95
    falls_every: int = 0
    weight_decay: float = 1e-5
    clip_norm: float = 0.0
    embedding_share: float = 1.0
    decay_rate: float = 0.8
    decay_offset: int = 0
    parameter_scale: bool = False
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    z_loss: float = 1e-4
    accumulate: int = 1

    def __post_init__(self) -> None:
        from jaxprompt.train.optimizer import OPTIMIZERS

        check_finite(self)
        if self.kind not in OPTIMIZERS:
            raise ValueError(
                f"unknown optimizer {self.kind!r}: use one of {list(OPTIMIZERS)}"
            )
        if self.accumulate < 1:
            raise ValueError(
                f"accumulate {self.accumulate}: a batch has 1 or more microbatches"
            )
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and self.epsilon > 0):
            raise ValueError(
                f"beta1 {self.beta1}, beta2 {self.beta2}, epsilon {self.epsilon}: use "
                "decays from 0 to below 1, and an epsilon above 0"
            )
        if min(self.weight_decay, self.z_loss) < 0:
            raise ValueError(
                f"weight decay {self.weight_decay}, z_loss {self.z_loss}: use 0, for "
                "none, or more"
            )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """How a prompt is scored; see `evaluate.score.make_predict`.

    Attributes:
        method: One of `evaluate.methods.METHODS`, or "loss": nothing is decoded.
        beams: Sequences that "beam" keeps.
        alpha: Its brevity penalty.
        top_p: Probability of the tokens that "nucleus" draws from.
        temperature: What "nucleus" divides logits by.
        batch_size: Rows B of a batch. On a CPU an encoder-decoder takes many rows in
            batches of 8, which hold less padding, where answers are short.
        hand_written: Text to put before every input of the frozen model: a baseline
            that is scored too, if given.
        examples_in_input: Training examples to put before every input of the frozen
            model, behind the hand-written text: in-context learning, a baseline too.
        num_examples: Examples of the split to score, of each objective on its own;
            None for all.
        decode_length: Most target tokens that decoding writes, end-of-sequence
            included; None for the target length.
        gold: Whether loss and rank of the true answers are measured too, by one more
            pass; see `evaluate.gold`.
    """

    method: str = "greedy"
    beams: int = 4
    alpha: float = 0.6
    top_p: float = 0.9
    temperature: float = 1.0
    batch_size: int = 32
    num_examples: int | None = None
    hand_written: str = ""
    examples_in_input: int = 0
    decode_length: int | None = None
    gold: bool = False

    def __post_init__(self) -> None:
        check_finite(self)
        shown = self.examples_in_input
        if not isinstance(shown, int) or shown < 0:
            raise ValueError(f"examples_in_input {shown!r}: a number, 0 for none")
        if self.decode_length is not None and self.decode_length < 1:
            raise ValueError(
                f"decode_length {self.decode_length}: use 1 token or more, or None for "
                "the target length"
            )
        if self.decode_length is not None:
            check_tokens("decode_length", self.decode_length)
        if self.hand_written and not self.hand_written.strip():
            raise ValueError(
                f"hand-written prompt {self.hand_written!r} has no words: write some, "
                "or leave it out"
            )
        if self.method not in (*EVALUATION_METHODS, LOSS):
            raise ValueError(
                f"unknown method {self.method!r}: use one of "
                f"{[*EVALUATION_METHODS, LOSS]}"
            )
        if self.num_examples is not None and self.num_examples < 1:
            raise ValueError(
                f"num_examples {self.num_examples}: use 1 or more, or None for all"
            )
        if self.method != LOSS:
            check_method(
                self.method,
                length=self.decode_length or 1,
                beams=self.beams,
                alpha=self.alpha,
                top_p=self.top_p,
                temperature=self.temperature,
            )


def check_tokens(name: str, tokens: int) -> None:
    """Raises ValueError for a length that no model here can read.

    A prompt's file holds such numbers too, and may come from anywhere.
    """
    if tokens > MOST_TOKENS:
        raise ValueError(
            f"{name} {tokens}: no model here reads more than {MOST_TOKENS} tokens, so "
            "use fewer"
        )
