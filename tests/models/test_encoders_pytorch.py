"""Small encoders of the installed PyTorch transformers: its states, and ours."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.heads.masked import MaskedHead
from jaxprompt.models.load import load
from jaxprompt.models.prefix import Prefix
from jaxprompt.models.tokens import Tokens
from jaxprompt.models.weights.save import save
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.prompt import empty_prompt
from jaxprompt.shapes import unpacked_batch

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

SIZES = {
    "vocab_size": 61,
    "hidden_size": 16,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 24,
    "type_vocab_size": 2,
    "initializer_range": 0.2,
}
KINDS = {
    "bert": ("BertConfig", "BertForPreTraining"),
    "roberta": ("RobertaConfig", "RobertaForMaskedLM"),
    "xlm-roberta": ("XLMRobertaConfig", "XLMRobertaForMaskedLM"),
}
SEGMENTS = np.array([[1] * 9, [1] * 6 + [0] * 3], np.int32)
TYPES = np.array([[0] * 5 + [1] * 4, [0] * 3 + [1] * 3 + [0] * 3], np.int32)


@dataclasses.dataclass
class Pair:
    """One model twice: PyTorch's, and ours as it was read from its folder."""

    theirs: Any
    folder: Path
    backbone: Any
    params: Any
    ids: np.ndarray

    @property
    def body(self) -> Any:
        return getattr(self.theirs, self.theirs.base_model_prefix)

    def embedded(self) -> jax.Array:
        table = jnp.asarray(self.params["embedding"])
        return table[self.ids]

    def first_position(self) -> int:
        return 0 if self.theirs.config.model_type == "bert" else 2

    def expected(self, prefix: np.ndarray | None, shift: int) -> Any:
        """PyTorch's states and scores; a prefix is [keys or values, N, P, G, K]."""
        seen, cache = torch.tensor(SEGMENTS > 0), None
        if prefix is not None:
            cache = transformers.DynamicCache()
            for layer, (keys, values) in enumerate(zip(*prefix, strict=True)):
                both = [
                    torch.tensor(x).permute(1, 0, 2)[None].expand(2, -1, -1, -1)
                    for x in (keys, values)
                ]
                cache.update(*both, layer)
            slots = torch.ones((2, prefix.shape[2]), dtype=torch.bool)
            seen = torch.cat([slots, seen], dim=1)
        places = torch.arange(9)[None] + self.first_position() + shift
        with torch.no_grad():
            found = self.body(
                input_ids=torch.tensor(self.ids),
                attention_mask=seen.long(),
                token_type_ids=torch.tensor(TYPES),
                position_ids=places.expand(2, -1),
                past_key_values=cache,
            )
            states = found.last_hidden_state
            head = self.theirs.cls.predictions if hasattr(self.theirs, "cls") else None
            scores = (head or self.theirs.lm_head)(states)
        return found, scores


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Pair:
    config, model = (getattr(transformers, name) for name in KINDS[request.param])
    pad = {} if request.param == "bert" else {"pad_token_id": 1}
    torch.manual_seed(0)
    theirs = model(config(**SIZES, **pad)).eval()
    with torch.no_grad():  # Biases and norms start without effect.
        for name, leaf in theirs.named_parameters():
            if leaf.ndim == 1:
                leaf += 0.3 * torch.randn_like(leaf)
            elif "position" in name:  # The row of padding is zeros there, and unread.
                leaf += 0.1 * torch.randn_like(leaf)
    folder = tmp_path_factory.mktemp(request.param)
    theirs.save_pretrained(folder)
    ids = np.random.default_rng(1).integers(3, 61, (2, 9))
    return Pair(theirs, folder, *load(folder), ids)


def assert_near(ours: Any, theirs: Any) -> None:
    real = SEGMENTS > 0
    np.testing.assert_allclose(
        np.asarray(ours)[real], theirs.numpy()[real], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("slots", [0, 3])
@pytest.mark.parametrize("in_front", [True, False])
def test_states_scores_and_pooler_are_those_of_pytorch(pair, slots, in_front):
    """Padded, with two token types, behind a prefix, with shifted positions or not."""
    if not slots and not in_front:
        pytest.skip("without a prefix nothing shifts")
    prefix, values = {}, None
    if slots:
        values = np.random.default_rng(2).normal(size=(2, 2, slots, 2, 8))
        values = values.astype(np.float32)
        keys, held = (jnp.asarray(x)[:, None] for x in values)
        rows = jnp.zeros(2, jnp.int32)
        prefix = {"encoder": Prefix(keys, held, rows, in_front=in_front)}
    expected, scores = pair.expected(values, slots if in_front else 0)
    states = jax.jit(pair.backbone.states)(
        pair.params, Tokens(pair.embedded(), SEGMENTS, TYPES), prefix=prefix
    )
    assert_near(states, expected.last_hidden_state)
    assert_near(pair.backbone.fill(pair.params, states)[..., :61], scores)
    pooler = pair.params.get("pooler")
    assert (pooler is not None) == (pair.theirs.config.model_type == "bert")
    if pooler is not None:
        weight, bias = (np.asarray(pooler[name]) for name in ("weight", "bias"))
        ours = np.tanh(np.asarray(states)[:, 0] @ weight + bias)
        np.testing.assert_allclose(ours, expected.pooler_output.numpy(), atol=1e-5)


@pytest.mark.parametrize("place", [0, 1], ids=["before [CLS]", "behind [CLS]"])
def test_soft_tokens_are_read_as_any_token_is(pair, place):
    """PyTorch gets them as embeddings of the row."""
    soft = np.random.default_rng(3).normal(size=(2, 4, 16)).astype(np.float32)
    x = np.insert(np.asarray(pair.embedded()), [place] * 4, soft, axis=1)
    segments = np.insert(SEGMENTS, [place] * 4, 1, axis=1)
    with torch.no_grad():
        expected = pair.body(
            inputs_embeds=torch.tensor(x),
            attention_mask=torch.tensor(segments),
            position_ids=torch.arange(13)[None].expand(2, -1) + pair.first_position(),
        ).last_hidden_state
    found = jax.jit(pair.backbone.states)(pair.params, Tokens(jnp.asarray(x), segments))
    real = segments > 0
    np.testing.assert_allclose(
        np.asarray(found)[real], expected.numpy()[real], atol=1e-5, rtol=1e-5
    )


def test_a_saved_folder_is_read_by_pytorch_as_the_same_model(pair, tmp_path):
    save(tmp_path / "saved", pair.backbone, pair.params)
    again = type(pair.theirs).from_pretrained(tmp_path / "saved").eval()
    with torch.no_grad():
        old, new = (
            model(input_ids=torch.tensor(pair.ids))[0] for model in (pair.theirs, again)
        )
    np.testing.assert_allclose(old.numpy(), new.numpy(), atol=1e-6)


def test_words_at_a_place_score_as_those_of_pytorch(pair):
    _, expected = pair.expected(None, 0)
    batch = unpacked_batch(np.where(SEGMENTS > 0, pair.ids, NO_TOKEN), np.ones((2, 1)))
    batch = dataclasses.replace(
        batch, input_types=jnp.asarray(TYPES), target_places=jnp.array([[2], [4]])
    )
    params = {"model": pair.params, "prompt": empty_prompt(16)}
    found = MaskedHead(((6,), (10,))).scores(pair.backbone, params, batch)
    for row, place in enumerate((2, 4)):
        np.testing.assert_allclose(
            found[row, 0], expected[row, place, [6, 10]].numpy(), atol=1e-5
        )


def test_packed_texts_do_not_see_each_other(pair):
    x = pair.embedded()
    row = jnp.concatenate([x[1, :6], x[0, :3]])[None]
    segments = np.array([[1] * 6 + [2] * 3], np.int32)
    packed = jax.jit(pair.backbone.states)(pair.params, Tokens(row, segments))[0]
    for part, alone in ((packed[:6], x[1:, :6]), (packed[6:], x[:1, :3])):
        ones = np.ones(alone.shape[:2], np.int32)
        found = jax.jit(pair.backbone.states)(pair.params, Tokens(alone, ones))[0]
        np.testing.assert_allclose(part, found, atol=1e-5)


def test_a_row_longer_than_the_positions_is_refused(pair):
    room = 24 - pair.first_position()
    row = Tokens(jnp.zeros((1, room + 1, 16)), jnp.ones((1, room + 1), jnp.int32))
    with pytest.raises(ValueError, match=f"has {room} positions: use shorter"):
        pair.backbone.states(pair.params, row)
