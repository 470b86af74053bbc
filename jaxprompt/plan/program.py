"""A run's step over shapes alone: no weight is read, and no device is needed."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxprompt.config import VOCABULARY, WORDS, Run
from jaxprompt.data.rows.lengths import Lengths
from jaxprompt.data.tasks.answers.kinds import KINDS
from jaxprompt.evaluate.decode import beam, greedy, nucleus
from jaxprompt.evaluate.rank import rank_labels
from jaxprompt.heads.head import Scorer
from jaxprompt.heads.kinds import HEADS, Layer
from jaxprompt.heads.words import WordsHead
from jaxprompt.models.attention_form import AttentionForm
from jaxprompt.models.backbone import Backbone
from jaxprompt.models.config import Config
from jaxprompt.models.families import PUBLISHED, make_backbone
from jaxprompt.models.load import find_checkpoint, is_here
from jaxprompt.models.quantise import quantise
from jaxprompt.models.weights.checkpoint import with_blocks
from jaxprompt.prompts.deep_start import init_deep
from jaxprompt.prompts.prompt import empty_prompt, make_prompt
from jaxprompt.prompts.reparametrise import REPARAMETRISATIONS
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.prompts.trained import Trained
from jaxprompt.runs.ready.optimizer import make_optimizer
from jaxprompt.shapes import Batch, Params
from jaxprompt.sharding import (
    DATA,
    RULES,
    RULES_OVER_DATA,
    AnyMesh,
    check_batch_size,
    shardings,
)
from jaxprompt.train.optimizer import MASKS
from jaxprompt.train.step import TrainState, make_train_step, masked, split

STEPS = ("train", "predict")
"""What a plan is for: one update, or the answers to one batch."""

_CLASSES = 2
"""Label words that "rank" compares where no task has any, one after another."""


class Program(NamedTuple):
    """A jitted function and the shapes of its arguments, in their places.

    Attributes:
        function: As the run calls it.
        arguments: Trees of `jax.ShapeDtypeStruct`.
        weights: The frozen ones among them.
        rounds: Most rounds of its loop that ends by a condition.
    """

    function: Any
    arguments: tuple[Any, ...]
    weights: Params
    rounds: int


def sizes_of(run: Run) -> Config:
    """Finds the sizes of a run's model, in its folder or among the published ones.

    Args:
        run: The configuration.

    Raises:
        ValueError: If there is no model, or no sizes are known for it.
        FileNotFoundError: If its folder lacks a file.
    """
    if run.trains == VOCABULARY:
        raise ValueError(
            "a vocabulary trains without a model: there is nothing to plan"
        )
    model = run.model
    if model.architecture is not None:
        architecture = model.architecture
        if model.vocabulary is None and architecture.vocab_rows:
            return architecture
        from jaxprompt.runs.ready.new_model import vocabulary_of_new

        vocabulary = vocabulary_of_new(run, architecture)
        return architecture.for_vocabulary(vocabulary.vocab_size)
    if model.name is None:
        raise ValueError(
            "no model: give a Hub name or a folder, as "
            "--gin.MODEL=google/t5-xxl-lm-adapt"
        )
    if model.name in PUBLISHED:
        return PUBLISHED[model.name]
    if not is_here(model.name):
        raise ValueError(
            f"no sizes known for {model.name!r}: give the folder or GGUF file of a "
            "model, or one of "
            f"{', '.join(sorted(PUBLISHED))}"
        )
    return find_checkpoint(model.name).config


def num_rows(run: Run, step: str) -> int:
    """Returns the rows B of a batch, those of all members of a bank together."""
    return run.batch_size * _members(run) if step == "train" else _predicted(run)


def lengths(run: Run, config: Config, step: str) -> tuple[int, int]:
    """Returns the source tokens T of a row, soft ones among them, and the targets L.

    Of a decoder alone only a prompt's last token is in the rows. A packed row to train
    on has the targets of several examples.
    """
    in_rows = _soft_tokens(run) - len(_lead(run, config))
    targets = KINDS[run.head.kind].targets or run.data.target_length
    if run.data.pack and run.trains_bank and step == "train":
        targets = Lengths(run.data.input_length, targets).packed_targets(in_rows)
    texts = max((task.texts for task in run.data.tasks), default=1)
    return texts * (in_rows + run.data.input_length), texts * targets


def _soft_tokens(run: Run) -> int:
    """Returns the soft tokens of a row: none where a model or a head alone trains."""
    return run.prompt.length if "prompt" in run.trains else 0


def _lead(run: Run, config: Config) -> tuple[int, ...]:
    """Returns the soft tokens that a decoder reads once for all rows."""
    if not (config.causal and run.prompt.may_fold):
        return ()
    return tuple(prefix(config.vocab_rows, _soft_tokens(run)).tolist()[:-1])


def make_program(
    run: Run,
    config: Config,
    step: str,
    mesh: AnyMesh | None,
    *,
    attention: AttentionForm = "chunked",
    split_rows: int = 1,
) -> Program:
    """Makes the step of a run from shapes.

    Args:
        run: The configuration, whose own mesh is not read.
        config: Sizes of its model, from `sizes_of`.
        step: One of `STEPS`.
        mesh: Where arguments live; None for no place.
        attention: The form of its attention.
        split_rows: Take this part of the rows only, as one device of the data axis
            does.

    Raises:
        ValueError: If the mesh does not divide the rows or the model.
    """
    if mesh is not None:
        _check_rows(run, step, mesh)
    backbone = make_backbone(
        config,
        dtype=run.model.dtype,
        dropout=run.model.dropout,
        remat=run.model.remat,
        attention=attention,
        mesh=mesh,
    )
    params = _place_params(run, _shapes_of_params(run, backbone, step), mesh)
    rows = num_rows(run, step) // split_rows
    batch = _batch(rows, *lengths(run, config, step), _lead(run, config))
    if run.head.kind != WORDS:
        batch = dataclasses.replace(
            batch, input_types=batch.inputs, target_places=batch.targets
        )
    batch = _place_rows(batch, mesh)
    if step == "train":
        return _train(run, backbone, params, batch, mesh)
    return _predict(run, backbone, params, batch, mesh)


def _members(run: Run) -> int:
    """Prompts that train at once; without a task, as if there were one."""
    return max(run.num_members, run.seeds)


def _predicted(run: Run) -> int:
    return run.evaluation.batch_size


def _check_rows(run: Run, step: str, mesh: AnyMesh) -> None:
    if step == "train":
        check_batch_size(run.batch_size, mesh, run.optimizer.accumulate)
    else:
        check_batch_size(_predicted(run), mesh)


def _shapes_of_params(run: Run, backbone: Backbone, step: str) -> Params:
    model = jax.eval_shape(backbone.init, jax.random.key(0))
    if run.model.quantise == "int8":
        model = jax.eval_shape(quantise, model)
        name = run.model.name
        if name is not None and name not in PUBLISHED:
            model = with_blocks(find_checkpoint(name), model)
    prompt = _shapes_of_prompt(run, backbone, step)
    if run.head.kind == WORDS:
        return {"model": model, "prompt": prompt}
    head = jax.eval_shape(
        lambda key: _head(run).init(key, backbone, model), jax.random.key(0)
    )
    members = _members(run) if run.trains_bank else 1
    return {"model": model, "prompt": prompt, "head": _of_members(head, members)}


def _head(run: Run) -> WordsHead | Scorer:
    """Returns the head of the run, as if its task had two labels."""
    start = run.head
    if start.kind == WORDS:
        return WordsHead()
    kind = HEADS[start.kind]
    layer = Layer(
        start.pooling, start.pooler, start.dropout, start.stddev, start.longest
    )
    return kind.make([kind.made_up()], layer)


def _of_members(tree: Any, members: int) -> Any:
    """Returns the shapes of a bank, from those of one member."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct((members, *leaf.shape[1:]), leaf.dtype), tree
    )


def _shapes_of_prompt(run: Run, backbone: Backbone, step: str) -> Trained:
    """Returns what trains in the prompt's place; to predict, what it expands to."""
    if run.tunes_model:
        return jax.eval_shape(lambda: empty_prompt(backbone.width))
    if run.trains == "head":
        empty = jax.eval_shape(lambda: empty_prompt(backbone.width))
        return _of_members(empty, _members(run))

    def one(key: jax.Array) -> Trained:
        start = run.prompt
        config = backbone.config
        deep = init_deep(key, config.sites, config.heads, start.deep_start)
        prompt = make_prompt(jnp.zeros((start.length, backbone.width)), deep)
        trained = REPARAMETRISATIONS[start.reparametrise](key, prompt)
        return trained if step == "train" else trained.expand()

    return _of_members(jax.eval_shape(one, jax.random.key(0)), _members(run))


def _batch(rows: int, inputs: int, targets: int, lead: tuple[int, ...]) -> Batch:
    def ids(*lengths: int) -> Any:
        return jax.ShapeDtypeStruct((rows, *lengths), jnp.int32)

    return Batch(
        inputs=ids(inputs),
        input_segments=ids(inputs),
        targets=ids(targets),
        target_inputs=ids(targets),
        target_segments=ids(targets),
        weights=ids(targets).update(dtype=jnp.float32),
        members=ids(),
        lead=lead,
    )


def _train(
    run: Run,
    backbone: Backbone,
    params: Params,
    batch: Batch,
    mesh: AnyMesh | None,
) -> Program:
    tx, freeze = make_optimizer(run), MASKS[run.trains]
    trained, frozen = split(params, freeze)
    opt_state = jax.eval_shape(tx.init, masked(trained, freeze))
    rest = (jax.ShapeDtypeStruct((), jnp.int32), opt_state)
    count, opt_state = _place(rest, mesh, jax.P())
    function = make_train_step(
        backbone,
        tx,
        freeze=freeze,
        head=_head(run),
        seeds=range(_members(run)) if run.trains_bank else (run.seed,),
        z_loss=run.optimizer.z_loss,
        accumulate=run.optimizer.accumulate,
    )
    state = TrainState(count, trained, opt_state)
    return Program(function, (state, frozen, batch), params["model"], 1)


def _predict(
    run: Run, backbone: Backbone, params: Params, batch: Batch, mesh: AnyMesh | None
) -> Program:
    evaluation = run.evaluation
    length = evaluation.decode_length or run.data.target_length
    arguments: tuple[Any, ...] = (params, batch)
    function: Callable[..., Any]
    head = _head(run)
    if not isinstance(head, WordsHead):
        find = functools.partial(head.find, backbone)
        return Program(jax.jit(find), arguments, params["model"], 1)
    match evaluation.method:
        case "rank":
            words = [len(task.label_words_in_order) for task in run.data.tasks]
            label_shape = (max(words, default=0) or _CLASSES, run.data.target_length)
            labels = _place(jax.ShapeDtypeStruct(label_shape, jnp.int32), mesh, jax.P())
            function = functools.partial(rank_labels, backbone)
            arguments = (*arguments, labels)
        case "beam":
            options = {"beams": evaluation.beams, "alpha": evaluation.alpha}
            function = functools.partial(beam, backbone, length=length, **options)
        case "greedy":
            function = functools.partial(greedy, backbone, length=length)
        case "nucleus":
            row_keys = jax.ShapeDtypeStruct(
                batch.members.shape, jax.random.key(0).dtype
            )
            arguments = (*arguments, _place(row_keys, mesh, jax.P(DATA)))
            function = functools.partial(nucleus, backbone, length=length)
        case other:
            raise ValueError(
                f"method {other!r} answers nothing: plan for --step=train, or use the "
                "method greedy, beam, nucleus or rank"
            )
    return Program(jax.jit(function), arguments, params["model"], length)


def _place_params(run: Run, params: Params, mesh: AnyMesh | None) -> Params:
    if mesh is None:
        return params
    rules = RULES_OVER_DATA if run.model.weights_over_data else RULES
    places = shardings(params, mesh, rules)
    return jax.tree.map(lambda leaf, at: leaf.update(sharding=at), params, places)


def _place_rows(batch: Batch, mesh: AnyMesh | None) -> Batch:
    return _place(batch, mesh, jax.P(DATA))


def _place(tree: Any, mesh: AnyMesh | None, spec: jax.P) -> Any:
    if mesh is None:
        return tree
    place = jax.NamedSharding(mesh, spec)
    return jax.tree.map(lambda leaf: leaf.update(sharding=place), tree)
