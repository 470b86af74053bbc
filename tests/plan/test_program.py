"""The planned step is the run's own: the same arguments, in the same places."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from gguf_files import TINY_LLAMA, draw_tensors, write_model
from tiny import CONFIG, WIDTH, draw_prompt

from jaxprompt.config import (
    Data,
    Evaluation,
    HeadStart,
    Model,
    Optimizer,
    OwnTask,
    PromptStart,
    Run,
)
from jaxprompt.heads.kinds import HEADS, Layer, make_head
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.encoder.model import Encoder
from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.families.bert import BertConfig
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.families.llama import LlamaConfig
from jaxprompt.models.load import find_checkpoint
from jaxprompt.models.quantise import Int8Matrix
from jaxprompt.models.weights.checkpoint import read_params
from jaxprompt.models.weights.save import save
from jaxprompt.plan.program import lengths, make_program, sizes_of
from jaxprompt.prompts.prompt import empty_prompt, make_deep, make_prompt, stack
from jaxprompt.runs.ready.optimizer import make_optimizer
from jaxprompt.sharding import make_mesh, place
from jaxprompt.train.optimizer import MASKS
from jaxprompt.train.step import init_state

RUN = Run(
    prompt=PromptStart(length=3),
    data=Data(input_length=8, target_length=4),
    evaluation=Evaluation(batch_size=8),
    batch_size=8,
)

GPT2 = GPT2Config(vocab_size=90, width=16, heads=4, ffn_width=32, layers=2)

BERT = BertConfig(
    vocab_size=20, width=16, heads=2, ffn_width=24, layers=2, positions=32
)


def places(tree):
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype, leaf.sharding), tree)


@pytest.mark.parametrize("trains", ["prompt", "model"])
def test_the_state_is_that_of_the_run(tiny, trains):
    run = dataclasses.replace(RUN, trains=trains, seeds=2 if trains == "prompt" else 1)
    prompt = draw_prompt(0, members=2) if trains == "prompt" else draw_prompt(0, 1, 0)
    mesh = make_mesh(2, 4)
    params = place(tiny.join(prompt), mesh)
    state, frozen = init_state(params, make_optimizer(run), MASKS[trains])
    program = make_program(run, CONFIG, "train", mesh)
    planned, planned_frozen, batch = program.arguments
    assert places(planned) == places(state)
    assert places(planned_frozen) == places(frozen)
    soft = 3 if trains == "prompt" else 0
    assert batch.inputs.shape == (8 * run.seeds, soft + 8)
    assert batch.targets.shape == (8 * run.seeds, 4)
    assert batch.inputs.sharding.spec == jax.P("data")
    metrics = jax.eval_shape(program.function, *program.arguments)[1]
    assert metrics["loss"].shape == ()


def test_a_decoder_alone_has_its_prompt_once_and_a_token_of_it_in_each_row():
    config = GPT2
    backbone, run = Decoder(config), dataclasses.replace(RUN, seeds=2)
    mesh = make_mesh(2, 4)
    prompt = stack([make_prompt(jnp.zeros((3, 16)))] * 2)
    params = {"model": jax.jit(backbone.init)(jax.random.key(0)), "prompt": prompt}
    state, frozen = init_state(
        place(params, mesh), make_optimizer(run), MASKS["prompt"]
    )
    program = make_program(run, config, "train", mesh)
    planned, planned_frozen, batch = program.arguments
    assert places(planned) == places(state)
    assert places(planned_frozen) == places(frozen)
    assert batch.inputs.shape == (8 * 2, 1 + 8)
    metrics = jax.eval_shape(program.function, *program.arguments)[1]
    assert metrics["loss"].shape == ()
    answers = dataclasses.replace(run.evaluation, decode_length=3)
    run = dataclasses.replace(run, evaluation=answers)
    program = make_program(run, config, "predict", mesh)
    found = jax.eval_shape(program.function, *program.arguments)
    assert found.shape == (8, 3)


@pytest.mark.parametrize("config", ["encoder", "decoder"])
def test_a_head_alone_stands_behind_no_soft_tokens(config: str):
    """The setting's default counts as little as it does in the run."""
    sizes = BERT if config == "encoder" else GPT2
    run = dataclasses.replace(RUN, trains="head", head=HeadStart(kind="classes"))
    assert run.prompt.length == 3
    assert lengths(run, sizes, "train") == (8, 1)
    batch = make_program(run, sizes, "train", None).arguments[2]
    assert (batch.inputs.shape, batch.lead) == ((8, 8), ())


@pytest.mark.parametrize(
    ("trains", "config", "tokens"),
    [
        # In 3 + 60 tokens fit three examples of 3 + 16, in 1 + 60 three of 1 + 16.
        ("prompt", CONFIG, (3 + 60, 3 * 4)),
        ("prompt", GPT2, (1 + 60, 3 * 4)),
        ("model", CONFIG, (60, 4)),
    ],
)
def test_a_packed_row_has_the_targets_of_several_examples(trains, config, tokens):
    data = Data(input_length=60, target_length=4, pack=True)
    run = dataclasses.replace(RUN, trains=trains, data=data)
    assert lengths(run, config, "train") == tokens
    assert lengths(run, config, "predict") == (tokens[0], 4)
    batch = make_program(run, config, "train", None).arguments[2]
    assert (batch.inputs.shape[1], batch.targets.shape[1]) == tokens


def test_quantised_and_split_weights(tiny):
    settings = Model(quantise="int8", dtype="bfloat16", weights_over_data=True)
    run = dataclasses.replace(RUN, model=settings)
    weights = make_program(run, CONFIG, "train", make_mesh(2, 4)).weights
    query = weights["encoder"]["layers"]["attention"]["query"]
    assert query.values.dtype == "int8"
    assert query.values.sharding.spec == jax.P(None, "data", "model")
    assert weights["encoder"]["final_norm"].dtype == "bfloat16"


def test_int8_levels_of_a_gguf_file_have_the_scales_of_their_blocks(tmp_path):
    path = tmp_path / "tiny.Q8_0.gguf"
    # Two blocks of 32 make a row.
    sizes = {**TINY_LLAMA, "hidden_size": 64}
    write_model(path, sizes, draw_tensors(sizes), architecture="llama", kind="Q8_0")
    settings = Model(name=str(path), quantise="int8")
    run = dataclasses.replace(RUN, model=settings)
    program = make_program(run, sizes_of(run), "predict", make_mesh(8, 1))
    read = read_params(find_checkpoint(path), "float32", None, quantise="int8")
    assert read["layers"]["ffn"]["up"].scale.shape[1] == 2
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), read)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), program.weights) == shapes


@pytest.mark.parametrize(
    ("method", "shape"),
    [
        ("greedy", (8, 4)),
        ("beam", (8, 4)),
        ("nucleus", (8, 4)),
        ("rank", (8, 1, 2)),
    ],
)
def test_every_method_of_prediction_is_traced(method, shape):
    evaluation = Evaluation(method=method, batch_size=8)
    run = dataclasses.replace(RUN, evaluation=evaluation)
    program = make_program(run, CONFIG, "predict", make_mesh(4, 2))
    found = jax.tree.leaves(jax.eval_shape(program.function, *program.arguments))
    assert found[0].shape == shape


@pytest.mark.parametrize(("words", "classes"), [(5, 5), (0, 2)])
def test_ranking_compares_as_many_labels_as_the_task_has(words: int, classes: int):
    labels = {str(number): f"word {number}" for number in range(words)} or None
    task = OwnTask(name="own", inputs="{text}", files="rows.csv", labels=labels)
    data = dataclasses.replace(RUN.data, task=task)
    ranks = Evaluation(method="rank", batch_size=8)
    run = dataclasses.replace(RUN, data=data, evaluation=ranks)
    program = make_program(run, CONFIG, "predict", None)
    found = jax.eval_shape(program.function, *program.arguments)
    assert found.shape == (8, 1, classes)


def test_a_batch_that_the_mesh_does_not_divide_is_refused():
    optimizer = Optimizer(accumulate=4)
    run = dataclasses.replace(RUN, optimizer=optimizer)
    with pytest.raises(ValueError, match="batch size 8 is not divisible"):
        make_program(run, CONFIG, "train", make_mesh(4, 2))


def test_a_folder_brings_its_sizes(tiny, tmp_path):
    save(tmp_path / "model", tiny.backbone, tiny.model)
    run = dataclasses.replace(RUN, model=Model(name=str(tmp_path / "model")))
    assert sizes_of(run) == CONFIG
    assert sizes_of(run).width == WIDTH


def test_the_hub_is_not_asked():
    name = "google/t5-xxl-lm-adapt"
    assert sizes_of(dataclasses.replace(RUN, model=Model(name=name))).width == 4096
    gpt2 = sizes_of(dataclasses.replace(RUN, model=Model(name="openai-community/gpt2")))
    assert gpt2.causal
    assert len(PUBLISHED) == 72
    with pytest.raises(
        ValueError, match="no sizes known for 'google/t6': give the fol"
    ):
        sizes_of(dataclasses.replace(RUN, model=Model(name="google/t6")))
    with pytest.raises(ValueError, match="no model: give a Hub name or a folder"):
        sizes_of(RUN)


def test_what_cannot_be_planned():
    new = Model(architecture=dataclasses.replace(CONFIG, vocab_rows=0))
    with pytest.raises(ValueError, match="a new model has no vocabulary: train one"):
        sizes_of(dataclasses.replace(RUN, trains="model", model=new))
    with pytest.raises(ValueError, match="a vocabulary trains without a model"):
        sizes_of(dataclasses.replace(RUN, trains="vocabulary"))
    by_loss = dataclasses.replace(RUN, evaluation=Evaluation(method="loss"))
    with pytest.raises(ValueError, match="method 'loss' answers nothing"):
        make_program(by_loss, CONFIG, "predict", None)


@pytest.mark.parametrize("trains", ["prompt+head", "head", "model+head"])
@pytest.mark.parametrize(
    ("kind", "targets", "found"),
    [("classes", 1, (8, 1)), ("tags", 4, (8, 4)), ("spans", 5, (8, 21, 3))],
)
def test_the_state_of_a_head_is_that_of_the_run(trains, kind, targets, found):
    seeds = 1 if trains == "model+head" else 2
    start = PromptStart(length=0, deep={"encoder": 2}, stddev=0.1)
    head = HeadStart(kind=kind, pooler="frozen")
    run = dataclasses.replace(RUN, trains=trains, seeds=seeds, head=head, prompt=start)
    backbone, mesh = Encoder(BERT), make_mesh(2, 4)
    model = jax.jit(backbone.init)(jax.random.key(0))
    one = empty_prompt(16)
    if trains == "prompt+head":
        deep = make_deep(jnp.zeros((2, 2, 2, 8)), jnp.zeros((2, 2, 2, 8)))
        one = make_prompt(jnp.zeros((0, 16)), {"encoder": deep})
    layer = make_head([HEADS[kind].made_up()], Layer(pooler="frozen"))
    own = layer.init(jax.random.key(0), backbone, model)
    params = {
        "model": model,
        "prompt": stack([one] * seeds),
        "head": jax.tree.map(lambda leaf: jnp.concatenate([leaf] * seeds), own),
    }
    state, frozen = init_state(place(params, mesh), make_optimizer(run), MASKS[trains])
    program = make_program(run, BERT, "train", mesh)
    planned, planned_frozen, batch = program.arguments
    assert places(planned) == places(state)
    assert places(planned_frozen) == places(frozen)
    assert batch.targets.shape == (8 * seeds, targets)
    metrics = jax.eval_shape(program.function, *program.arguments)[1]
    assert metrics["loss"].shape == ()
    program = make_program(run, BERT, "predict", mesh)
    assert jax.eval_shape(program.function, *program.arguments).shape == found


@pytest.mark.parametrize("blocks", [1, 8], ids=["by channel", "as in a GGUF file"])
def test_int8_weights_are_never_all_floats_at_once(blocks: int):
    """A step casts a matrix where it multiplies by it, and again on the way back.

    Even where nothing else is computed again.
    """
    config = LlamaConfig(
        vocab_size=512,
        width=256,
        heads=4,
        kv_heads=2,
        head_width=64,
        ffn_width=1024,
        layers=8,
        positions=64,
    )
    settings = Model(quantise="int8", remat="none")
    run = dataclasses.replace(RUN, model=settings, batch_size=2)
    program = make_program(run, config, "train", None)

    def in_blocks(leaf: Any) -> Any:
        if not isinstance(leaf, Int8Matrix) or leaf.values.ndim < 3:
            return leaf
        *layers, _, columns = leaf.scale.shape
        scale = leaf.scale.update(shape=(*layers, blocks, columns))
        return Int8Matrix(leaf.values, scale)

    given = jax.tree.map(
        in_blocks, program.arguments, is_leaf=lambda x: isinstance(x, Int8Matrix)
    )
    compiled = program.function.lower(*given).compile()
    layers = jax.tree.leaves(program.weights["layers"])
    floats = sum(4 * leaf.size for leaf in layers if leaf.dtype == jnp.int8)
    assert compiled.memory_analysis().temp_size_in_bytes < floats / 2
