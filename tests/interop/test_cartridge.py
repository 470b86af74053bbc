"""A cartridge does in a cache of PyTorch's what its prompt does here, both ways."""

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxprompt.cli import main
from jaxprompt.interop import cartridge
from jaxprompt.interop.forms import find_form
from jaxprompt.interop.peft_prefix import for_model
from jaxprompt.models.load import load
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.shapes import Batch

LAYERS, LENGTH, HEADS, WIDTH, WORDS = 2, 3, 1, 8, 61
PARTS = ("keys", "values")
SHAPE = (LAYERS, LENGTH, HEADS, WIDTH)
NAMES = [
    f"layers.{layer}.attention.prefix.{part}"
    for layer in range(LAYERS)
    for part in PARTS
]


def draw_deep():
    keys, values = np.random.default_rng(0).normal(0, 1, (2, *SHAPE))
    return make_deep(jnp.asarray(keys), jnp.asarray(values), in_front=True)


def tensors() -> dict[str, np.ndarray]:
    deep = draw_deep()
    parts = zip(np.asarray(deep.keys)[0], np.asarray(deep.values)[0], strict=True)
    layers = [x[None] for both in parts for x in both]
    return dict(zip(NAMES, layers, strict=True))


def write(path: Path, found: dict[str, np.ndarray]) -> Path:
    safetensors.numpy.save_file(found, path)
    return path


def test_it_goes_and_comes_back(tmp_path):
    path = tmp_path / "cartridge.safetensors"
    cartridge.write(path, draw_deep())
    assert safetensors.numpy.load_file(path).keys() == {*NAMES}
    (prompt,) = find_form("cartridge").read(path).prompts
    jax.tree.map(np.testing.assert_array_equal, prompt.deep["decoder"], draw_deep())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda found: found.pop(NAMES[0]), "has both of every layer"),
        (lambda found: [found.pop(name) for name in NAMES[:2]], "of layers .1."),
        (lambda found: found.update(more=np.zeros(2)), "holds more, where a cartr"),
        (lambda found: found.clear(), "holds no tensor"),
        (
            lambda found: found.update({NAMES[0]: np.zeros((1, 2, 1, 8), np.float32)}),
            "all must be one",
        ),
        (
            lambda found: found.update({NAMES[0]: np.zeros((2, 8), np.float32)}),
            r"must be \[1, P, heads, width\]",
        ),
    ],
)
def test_what_is_no_cartridge_is_refused(tmp_path, change, message):
    found = tensors()
    change(found)
    with pytest.raises(ValueError, match=message):
        cartridge.read(write(tmp_path / "cartridge.safetensors", found))


def test_a_pickle_is_never_read(tmp_path):
    path = tmp_path / "cartridge.pt"
    path.write_bytes(pickle.dumps(tensors()))
    with pytest.raises(ValueError, match=r"never read here: convert it once by python"):
        cartridge.read(path)


def test_the_logits_are_those_of_a_cache_of_pytorch(tmp_path, monkeypatch):
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    config = transformers.LlamaConfig(
        vocab_size=WORDS,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=LAYERS,
        num_attention_heads=2,
        num_key_value_heads=HEADS,
        head_dim=WIDTH,
    )
    torch.manual_seed(0)
    theirs = transformers.LlamaForCausalLM(config).eval()
    theirs.save_pretrained("model")
    backbone, params = load("model")
    drawn = np.random.default_rng(1).normal(0, 0.5, (LENGTH, backbone.width))
    save_prompt("soft.safetensors", make_prompt(jnp.asarray(drawn)), backbone)
    gin = ["--gin_file=gin/runs/prompt_tuning.gin", "--gin.MODEL='model'"]
    for name in ("it.pt", "it.safetensors"):
        form = ["--format=cartridge", f"--output={name}"]
        assert main(["export", "soft.safetensors", *form, *gin]) == 0
    found = torch.load("it.pt", weights_only=True)
    cache = transformers.DynamicCache()
    for layer in range(LAYERS):
        parts = (found[f"layers.{layer}.attention.prefix.{x}"] for x in PARTS)
        cache.update(*(part.transpose(1, 2) for part in parts), layer)
    text = np.random.default_rng(2).integers(3, WORDS, (1, 6)).astype(np.int32)
    with torch.no_grad():
        expected = theirs(torch.tensor(text).long(), past_key_values=cache).logits
    ids, ones = text, np.ones_like(text)
    batch = Batch(
        inputs=ids[:, :0],
        input_segments=ids[:, :0],
        targets=ids,
        target_inputs=ids,
        target_segments=ones,
        weights=ones.astype(np.float32),
        members=np.zeros(1, np.int32),
    )
    take = ["import", "it.safetensors", "--format=cartridge", "--backbone=model"]
    assert main([*take, "--output=back.safetensors"]) == 0
    prompt, _ = load_prompt("back.safetensors")
    ours = prompted_logits(backbone, {"model": params, "prompt": prompt}, batch)
    np.testing.assert_allclose(ours[..., :WORDS], expected, atol=1e-4)


def test_it_takes_the_width_of_its_model_and_is_for_decoders(tmp_path):
    path = write(tmp_path / "cartridge.safetensors", tensors())
    (prompt,) = cartridge.read(path).prompts
    with pytest.raises(ValueError, match="which is not here"):
        for_model(prompt, None, "someone/model")
