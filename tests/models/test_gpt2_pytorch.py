"""GPT-2 against PyTorch transformers: the same scores and the same words."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from gpt2_models import VOCAB, rows_of, write_pytorch

from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

LENGTHS = (9, 5, 1)
"""Source tokens of three examples; the last of each begins its target inputs."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gpt2") / "random"
    return folder, write_pytorch(folder)


@pytest.fixture(scope="module")
def loaded(folder):
    return load(folder[0])


@pytest.fixture(scope="module")
def examples():
    draw = np.random.default_rng(0)
    return [
        (draw.integers(0, VOCAB, size), draw.integers(0, VOCAB, 6 - n))
        for n, size in enumerate(LENGTHS)
    ]


def pytorch_logits(model, examples):
    """Scores each example's targets from a left-padded batch, [tokens, VOCAB]."""
    length = max(len(source) + len(target) for source, target in examples)
    ids, seen = np.zeros((3, length), int), np.zeros((3, length), int)
    for b, (source, target) in enumerate(examples):
        text = np.concatenate([source, target])
        ids[b, length - len(text) :], seen[b, length - len(text) :] = text, 1
    positions = np.maximum(seen.cumsum(axis=1) - 1, 0)
    with torch.no_grad():
        logits = model(
            input_ids=torch.tensor(ids),
            attention_mask=torch.tensor(seen),
            position_ids=torch.tensor(positions),
        ).logits.numpy()
    # The token before each target predicts it.
    return np.concatenate(
        [logits[b, -len(target) - 1 : -1] for b, (_, target) in enumerate(examples)]
    )


def split(examples):
    """Moves the last source token to the front of the target inputs."""
    sources = [source[:-1] for source, _ in examples]
    return sources, [np.append(s[-1:], t[:-1]) for s, t in examples]


@pytest.mark.parametrize("pad", ["right", "left", "middle"])
def test_padded_rows_score_as_in_pytorch(folder, loaded, examples, pad):
    sources, targets = split(examples)
    rows = rows_of(
        loaded[1], [[s] for s in sources], [[t] for t in targets], (11, 8), pad=pad
    )
    found = rows.logits(*loaded)
    expected = pytorch_logits(folder[1], examples)
    np.testing.assert_allclose(found[:, :VOCAB], expected, atol=1e-4)
    assert (found[:, VOCAB:] == -1e9).all()


def test_packed_rows_score_as_in_pytorch(folder, loaded, examples):
    sources, targets = split(examples)
    rows = rows_of(loaded[1], [sources], [targets], (14, 17))
    expected = pytorch_logits(folder[1], examples)
    found = rows.logits(*loaded)[:, :VOCAB]
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_log_probabilities_are_the_originals(folder, loaded, examples):
    sources, targets = split(examples)
    rows = rows_of(loaded[1], [sources], [targets], (14, 17))
    expected = torch.tensor(pytorch_logits(folder[1], examples)).log_softmax(-1)
    found = jax.nn.log_softmax(rows.logits(*loaded))[:, :VOCAB]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_inner": 40, "activation_function": "relu", "layer_norm_epsilon": 1e-2},
        {"n_head": 1, "n_positions": 20, "activation_function": "gelu"},
        {"vocab_size": 127, "activation_function": "silu"},
    ],
)
def test_other_sizes_and_a_saved_folder_score_as_in_pytorch(
    tmp_path, examples, settings
):
    import transformers

    model = write_pytorch(tmp_path / "theirs", **settings)
    backbone, params = load(tmp_path / "theirs")
    sources, targets = split(examples)
    rows = rows_of(params, [[s] for s in sources], [[t] for t in targets], (9, 6))
    found = rows.logits(backbone, params)
    expected = pytorch_logits(model, examples)
    vocab = model.config.vocab_size
    np.testing.assert_allclose(found[:, :vocab], expected, atol=1e-4)

    save(tmp_path / "ours", backbone, params)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").eval()
    np.testing.assert_array_equal(pytorch_logits(again, examples), expected)
    assert again.config.eos_token_id == 2


def test_greedy_decoding_writes_what_pytorch_generates(folder, loaded, examples):
    (backbone, params), length = loaded, 8
    sources = [source for source, _ in examples]
    rows = rows_of(params, [[s[:-1]] for s in sources], [[[1]]] * 3, (9, 1))
    encoded = backbone.encode(params, rows.source)
    cache = backbone.start_cache(params, encoded, length)
    step = jax.jit(backbone.decode_step)
    ids, written = jnp.array([source[-1] for source in sources]), []
    for index in range(length):
        logits, cache = step(params, cache, params["embedding"][ids], index)
        ids = logits.argmax(-1)
        written.append(np.asarray(ids))
    for b, source in enumerate(sources):
        expected = folder[1].generate(
            torch.tensor(source[None]),
            attention_mask=torch.ones(1, len(source)),
            max_new_tokens=length,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
        )
        np.testing.assert_array_equal(
            np.stack(written)[:, b], expected[0, len(source) :].numpy()
        )
