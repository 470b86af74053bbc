"""How precisely a run multiplies, on devices that need not be here."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from tiny import CONFIG, save_tiny

from jaxprompt.config import Data, Model, PromptStart, Run
from jaxprompt.models.attention_form import Device
from jaxprompt.models.config import Config
from jaxprompt.models.families.llama import LlamaConfig
from jaxprompt.models.options import precision_in_force
from jaxprompt.models.product import ROUNDED
from jaxprompt.models.t5.model import T5
from jaxprompt.plan.chips import parse_slice
from jaxprompt.plan.program import make_program
from jaxprompt.runs.ready import computing
from jaxprompt.runs.ready.computing import precision_of, tell_computing, use_precision
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.sharding import make_mesh

RUN = Run(
    prompt=PromptStart(length=3, reparametrise="residual_mlp"),
    data=Data(input_length=8, target_length=4),
    batch_size=2,
)
LLAMA = LlamaConfig(
    vocab_size=60,
    width=16,
    heads=4,
    kv_heads=2,
    head_width=4,
    ffn_width=24,
    layers=2,
    positions=64,
)
DOT = re.compile(r"stablehlo\.dot_general .*")


@pytest.fixture
def asked() -> Iterator[None]:
    """JAX's own setting, put back behind the test."""
    before = jax.config.values["jax_default_matmul_precision"]
    yield
    jax.config.update("jax_default_matmul_precision", before)


@pytest.fixture
def tpu() -> jax.sharding.Mesh:
    pytest.importorskip("libtpu", reason="it comes with the extra `plan`")
    return make_mesh(devices=parse_slice("v5e:1x1").devices())


@pytest.mark.parametrize(
    ("config", "settings"),
    [(CONFIG, Model()), (LLAMA, Model()), (LLAMA, Model(quantise="int8"))],
    ids=["t5", "llama", "int8"],
)
def test_no_product_of_a_float32_step_is_tensorfloat32_on_a_gpu(
    config: Config, settings: Model
):
    program = make_program(
        dataclasses.replace(RUN, model=settings), config, "train", None
    )
    precision = precision_in_force(settings.precision, settings.dtype, "gpu")
    with jax.default_matmul_precision(precision):
        step = jax.export.export(program.function, platforms=["cuda"])
        products = DOT.findall(step(*program.arguments).mlir_module())
    assert len(products) > 20
    assert not [line for line in products if "[HIGHEST, HIGHEST]" not in line]


def products_of_a_step(config: Config, settings: Model) -> list[str]:
    """Returns those that a step of this run on a CPU is made of."""
    program = make_program(
        dataclasses.replace(RUN, model=settings), config, "train", None
    )
    asked = precision_in_force(settings.precision, settings.dtype, "cpu")
    with jax.default_matmul_precision(asked):
        lowered = jax.jit(program.function).lower(*program.arguments)
    return DOT.findall(lowered.as_text())


@pytest.mark.parametrize("config", [CONFIG, LLAMA], ids=["t5", "llama"])
def test_bfloat16_on_a_cpu_rounds_the_factors_of_every_matrix_of_the_model(
    config: Config,
):
    products = products_of_a_step(config, Model(precision="bfloat16"))
    rounded = [line for line in products if line.count("xbf16>") == 2]
    # Attention's products have heads of their own, the prompt's MLP has members.
    batched = [line for line in products if "batching_dims" in line]
    assert len(rounded) > 20
    assert len(rounded) + len(batched) == len(products)
    assert all(line.endswith("xf32>") for line in rounded)


@pytest.mark.parametrize(
    "settings",
    [Model(quantise="int8"), Model(precision="bfloat16")],
    ids=["int8", "bfloat16"],
)
def test_a_backward_pass_keeps_the_products_that_it_keeps_in_float32(settings: Model):
    settings = dataclasses.replace(settings, remat="dots")
    plain = products_of_a_step(LLAMA, Model(remat="dots"))
    assert len(products_of_a_step(LLAMA, settings)) == len(plain)


def test_a_gpu_and_a_tpu_are_told_and_a_cpu_has_one_choice():
    assert precision_in_force("float32", "float32", "tpu") == "float32"
    assert precision_in_force("tensorfloat32", "float32", "gpu") == "tensorfloat32"
    assert precision_in_force("float32", "bfloat16", "gpu") is None
    assert precision_in_force("float32", "float32", "cpu") is None
    assert precision_in_force("tensorfloat32", "float32", "cpu") is None
    assert precision_in_force("bfloat16", "float32", "cpu") == ROUNDED
    with pytest.raises(ValueError, match="precision 'fp64': use one of"):
        Model(precision="fp64")  # pyright: ignore[reportArgumentType]


def test_a_model_is_loaded_with_its_precision(
    asked: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    save_tiny(tmp_path / "model")
    # As if the devices that there are were a GPU's.
    gpu = Device("gpu", (9, 0))
    monkeypatch.setattr(computing, "device_of", lambda device: gpu)
    settings = Model(name=str(tmp_path / "model"), precision="tensorfloat32")
    frozen = open_model(settings).load(make_mesh())
    assert isinstance(frozen.backbone, T5)
    assert frozen.backbone.attention == "chunked"  # It has position biases.
    assert jax.config.values["jax_default_matmul_precision"] == "tensorfloat32"


def test_the_setting_is_jaxs_own_and_its_variable_wins(
    tpu: jax.sharding.Mesh, asked: None, monkeypatch: pytest.MonkeyPatch
):
    use_precision(Model(precision="tensorfloat32"), tpu)
    assert jax.config.values["jax_default_matmul_precision"] == "tensorfloat32"
    # Nothing that the model before it asked for is left.
    use_precision(Model(dtype="bfloat16"), tpu)
    assert jax.config.values["jax_default_matmul_precision"] is None
    assert tell_computing(Model(), LLAMA, tpu) == (
        "splash attention, float32 products in float32"
    )
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "bfloat16")
    assert precision_of(Model(), tpu) == "bfloat16"
    use_precision(Model(), tpu)
    assert jax.config.values["jax_default_matmul_precision"] is None
    here = make_mesh()
    assert tell_computing(Model(), LLAMA, here) == "chunked attention"
    rounding = Model(precision="bfloat16")
    assert precision_of(rounding, here) == "bfloat16"
    monkeypatch.delenv("JAX_DEFAULT_MATMUL_PRECISION")
    use_precision(rounding, here)
    assert jax.config.values["jax_default_matmul_precision"] == ROUNDED
    assert tell_computing(rounding, LLAMA, here) == (
        "chunked attention, float32 products in bfloat16"
    )
    use_precision(Model(), here)
    assert jax.config.values["jax_default_matmul_precision"] is None
