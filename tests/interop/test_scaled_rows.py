"""Rows of a model that multiplies its embeddings, behind that where a form wants it."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxprompt.interop.peft_prefix import write_prefix
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gemma import Gemma2Config, Gemma3Config
from jaxprompt.models.tokens import Tokens
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.runs.interchange import export_prompt, import_prompt

WIDTH, LENGTH = 16, 3
SIZES = {
    "vocab_size": 40,
    "width": WIDTH,
    "heads": 2,
    "kv_heads": 1,
    "head_width": 8,
    "ffn_width": 24,
    "layers": 2,
    "positions": 64,
    "query_scalar": 8.0,
}
MODELS = {"gemma3": Gemma3Config(**SIZES), "gemma2": Gemma2Config(**SIZES)}
ROWS = np.random.default_rng(0).normal(size=(LENGTH, WIDTH)).astype(np.float32)


def write_prompt_of(model: str, folder: Path) -> Path:
    path = folder / "prompt.safetensors"
    save_prompt(path, make_prompt(jnp.asarray(ROWS)), Decoder(MODELS[model], model))
    return path


def rows_in(path: Path) -> np.ndarray:
    if path.read_bytes().startswith(b"\x93NUMPY"):
        return np.load(path)
    (rows,) = safetensors.numpy.load_file(path).values()
    return rows


@pytest.mark.parametrize(
    ("model", "form", "file", "scale"),
    [
        ("gemma3", "peft", "adapter_model.safetensors", 4.0),
        ("gemma2", "peft", "adapter_model.safetensors", 4.0),
        ("gemma3", "vllm", "", 4.0),
        ("gemma2", "vllm", "", 1.0),
        ("gemma3", "llama_cpp", "", 4.0),
        ("gemma2", "llama_cpp", "", 1.0),
    ],
)
def test_rows_are_scaled_where_the_program_does_not(tmp_path, model, form, file, scale):
    prompt = write_prompt_of(model, tmp_path)
    export_prompt([prompt], tmp_path / "out", form=form)
    np.testing.assert_array_equal(rows_in(tmp_path / "out" / file), scale * ROWS)


def test_rows_come_back_as_they_were(tmp_path):
    prompt = write_prompt_of("gemma3", tmp_path)
    save(tmp_path / "gemma3", *random_model("gemma3"))
    export_prompt([prompt], tmp_path / "out", form="peft")
    back = tmp_path / "back.safetensors"
    model = str(tmp_path / "gemma3")
    import_prompt(tmp_path / "out", back, form="peft", backbone=model)
    found, provenance = load_prompt(back)
    np.testing.assert_array_equal(found.rows[0], ROWS)
    assert provenance.family == "Gemma 3"


def test_of_a_model_that_is_not_here_rows_are_kept_and_it_is_said(tmp_path, capsys):
    prompt = write_prompt_of("gemma3", tmp_path)
    export_prompt([prompt], tmp_path / "out", form="peft")
    back = tmp_path / "back.safetensors"
    import_prompt(tmp_path / "out", back, form="peft", backbone="someone/tuned")
    np.testing.assert_array_equal(load_prompt(back)[0].rows[0], 4.0 * ROWS)
    assert "someone/tuned is not here, so its rows are kept" in capsys.readouterr().out


def random_model(model: str):
    backbone = Decoder(MODELS[model], model)
    params = jax.jit(backbone.init)(jax.random.key(0))
    # Far from the start, where a prompt would hardly matter.
    return backbone, jax.tree.map(lambda x: x * 8 if x.ndim > 1 else x, params)


@pytest.mark.parametrize("model", ["gemma3", "gemma2"])
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_a_prompt_scores_the_same_in_peft_as_rows_and_as_a_prefix(tmp_path, model):
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    backbone, params = random_model(model)
    save(tmp_path / model, backbone, params)
    prompt = write_prompt_of(model, tmp_path)
    adapter, folder = tmp_path / "adapter", str(tmp_path / model)
    export_prompt([prompt], adapter, form="peft", backbone=folder)
    bank = make_prompt(jnp.asarray(ROWS))
    write_prefix(tmp_path / "prefix", backbone, params, bank, folder)
    ids = np.random.default_rng(1).integers(0, 40, (2, 7))
    words = backbone.table(params)[jnp.asarray(ids)]
    x = jnp.concatenate([jnp.tile(ROWS[None], (2, 1, 1)), words], axis=1)
    ones = jnp.ones(x.shape[:2], jnp.int32)
    found = jax.jit(backbone.logits)(
        params, Tokens(x[:, :0], ones[:, :0]), Tokens(x, ones)
    )
    for written in (adapter, tmp_path / "prefix"):
        theirs = transformers.AutoModelForCausalLM.from_pretrained(folder)
        theirs = peft.PeftModel.from_pretrained(theirs, written).eval()
        with torch.no_grad():
            expected = theirs(input_ids=torch.tensor(ids)).logits.numpy()[:, -7:]
        np.testing.assert_allclose(found[:, LENGTH:, :40], expected, atol=1e-4)
