"""Keys and values of every layer do the same in PEFT's prefix tuning and here."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiny import make_tiny

from jaxprompt.interop.forms import find_form
from jaxprompt.interop.peft_prefix import check_prefix, for_model, write_prefix
from jaxprompt.models.load import load
from jaxprompt.prompts.join import prompted_logits, prompted_states
from jaxprompt.prompts.prompt import Prompt, make_deep, make_prompt
from jaxprompt.shapes import Batch, unpacked_batch

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT 0.21 still asks for a name that transformers 5 is about to drop.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)
LENGTH, TEXT, WORDS = 3, 6, 61
LLAMA = {
    "vocab_size": WORDS,
    "hidden_size": 16,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 32,
}
BERT = {name: size for name, size in LLAMA.items() if "key_value" not in name}
KINDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "gpt2": (
        "GPT2Config",
        "GPT2LMHeadModel",
        {
            "vocab_size": WORDS,
            "n_embd": 16,
            "n_head": 4,
            "n_layer": 2,
            "n_positions": 32,
        },
    ),
    "llama": ("LlamaConfig", "LlamaForCausalLM", LLAMA),
    "bert": ("BertConfig", "BertModel", {**BERT, "initializer_range": 0.3}),
    "roberta": (
        "RobertaConfig",
        "RobertaModel",
        {**BERT, "initializer_range": 0.3, "pad_token_id": 1, "type_vocab_size": 1},
    ),
    "t5": (
        "T5Config",
        "T5ForConditionalGeneration",
        {
            "vocab_size": WORDS,
            "d_model": 16,
            "d_kv": 6,
            "num_heads": 2,
            "num_layers": 2,
            "num_decoder_layers": 2,
            "d_ff": 24,
            "pad_token_id": 0,
            "decoder_start_token_id": 0,
        },
    ),
}
SITES = {"gpt2": "decoder", "llama": "decoder", "t5": "decoder"}


@dataclasses.dataclass(frozen=True)
class Both:
    """One model in both libraries, and texts without padding."""

    folder: Path
    open_theirs: Callable[[], Any]
    backbone: Any
    params: Any
    texts: np.ndarray
    site: Any

    def draw(self, seed: int = 0) -> Prompt:
        layers, heads, width = self.backbone.config.sites[self.site]
        shape = (2, layers, LENGTH, heads, width)
        keys, values = np.random.default_rng(seed).normal(0, 1, shape)
        deep = make_deep(jnp.asarray(keys), jnp.asarray(values), in_front=True)
        none = jnp.zeros((0, self.backbone.width))
        return make_prompt(none, {self.site: deep})

    def ours(self, prompt: Prompt) -> np.ndarray:
        """States of an encoder, or scores of the word behind each of a text's."""
        params = {"model": self.params, "prompt": prompt}
        if self.backbone.config.encoder_only:
            batch = unpacked_batch(self.texts, self.texts[:, :1])
            return np.asarray(_states(self.backbone, params, batch))
        if self.backbone.causal:
            ids, ones = self.texts, np.ones_like(self.texts)
            batch = Batch(
                inputs=ids[:, :0],
                input_segments=ids[:, :0],
                targets=ids,
                target_inputs=ids,
                target_segments=ones,
                weights=ones.astype(np.float32),
                members=np.zeros(len(ids), np.int32),
            )
            logits = _logits(self.backbone, params, batch)
            return np.asarray(logits)[..., :WORDS]
        batch = unpacked_batch(self.texts, self.texts)
        return np.asarray(_logits(self.backbone, params, batch))[..., :WORDS]

    def theirs(self, model: Any) -> np.ndarray:
        ids = torch.tensor(self.texts).long()
        is_t5 = self.backbone.config.sites.keys() == {"encoder", "decoder", "cross"}
        with torch.no_grad():
            found = model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                **({"labels": ids} if is_t5 else {}),
            )
        states = found.logits if "logits" in found else found.last_hidden_state
        return states.numpy()[:, -TEXT:]


_states = jax.jit(prompted_states, static_argnums=0)
_logits = jax.jit(prompted_logits, static_argnums=0)


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Both:
    config, kind, sizes = KINDS[request.param]
    made = getattr(transformers, kind)
    torch.manual_seed(0)
    model = made(getattr(transformers, config)(**sizes)).eval()
    with torch.no_grad():
        for leaf in model.parameters():
            leaf.mul_(2) if leaf.ndim > 1 else leaf.add_(0.1 * torch.randn_like(leaf))
    folder = tmp_path_factory.mktemp(request.param)
    model.save_pretrained(folder)
    texts = np.random.default_rng(1).integers(3, WORDS, (2, TEXT)).astype(np.int32)
    return Both(
        folder,
        lambda: made.from_pretrained(folder).eval(),
        *load(folder),
        texts,
        SITES.get(request.param, "encoder"),
    )


def test_a_deep_prompt_of_ours_does_the_same_in_peft_and_comes_back(
    both: Both, tmp_path: Path
):
    prompt, adapter = both.draw(), tmp_path / "adapter"
    check_prefix(prompt, both.backbone)
    write_prefix(adapter, both.backbone, {}, prompt, str(both.folder))
    theirs = peft.PeftModel.from_pretrained(both.open_theirs(), adapter).eval()
    np.testing.assert_allclose(both.ours(prompt), both.theirs(theirs), atol=1e-4)
    # Of another prompt the numbers are others, so equal ones mean something.
    assert np.abs(both.ours(prompt) - both.ours(both.draw(1))).max() > 0.1
    (taken,) = find_form("peft").read(adapter).prompts
    again = for_model(taken, both.backbone.config, "it")
    jax.tree.map(np.testing.assert_array_equal, again, prompt)


def test_a_prefix_that_peft_trained_does_the_same_here(both: Both, tmp_path: Path):
    is_t5 = "cross" in both.backbone.config.sites
    kinds = {"encoder": "FEATURE_EXTRACTION", "decoder": "CAUSAL_LM"}
    # Of a T5 PEFT would take the model's width for that of its heads.
    sizes = {"token_dim": 12} if is_t5 else {}
    task = "SEQ_2_SEQ_LM" if is_t5 else kinds[both.site]
    config = peft.PrefixTuningConfig(task_type=task, num_virtual_tokens=LENGTH, **sizes)
    torch.manual_seed(1)
    theirs = peft.get_peft_model(both.open_theirs(), config).eval()
    theirs.save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    taken = find_form("peft").read(tmp_path / "adapter")
    (prompt,) = taken.prompts
    ours = both.ours(for_model(prompt, both.backbone.config, "it"))
    np.testing.assert_allclose(ours, both.theirs(theirs), atol=1e-4)
    told = "; ".join(taken.notes)
    assert ("its 2 layers read 1 of 2 pairs of keys and values" in told) == is_t5


def draw_deep(**changes: Any) -> Any:
    keys = jnp.asarray(np.random.default_rng(0).normal(0, 1, (2, 2, 2, 4)))
    return make_deep(keys, keys, **{"in_front": True, **changes})


@pytest.mark.parametrize(
    ("site", "changes", "rows", "message"),
    [
        ("decoder", {}, 1, "holds keys and values alone, but this prompt is 1 soft"),
        ("encoder", {}, 0, "no keys and values at 'encoder': it gives a T5 those"),
        ("cross", {}, 0, "no keys and values at 'cross'"),
        ("decoder", {"gate": jnp.zeros((2, 4))}, 0, "those at 'decoder' are gated"),
        ("decoder", {"layers": [True, False]}, 0, "but of those at 'decoder' 1 of 2"),
        ("decoder", {"in_front": False}, 0, r"train with --gin\.DEEP_IN_FRONT=True"),
    ],
)
def test_what_is_no_prefix_to_peft_is_refused(site, changes, rows, message):
    prompt = make_prompt(jnp.zeros((rows, 16)), {site: draw_deep(**changes)})
    with pytest.raises(ValueError, match=message):
        check_prefix(prompt, make_tiny().backbone)


def test_keys_and_values_of_another_model_are_refused():
    prompt = make_prompt(jnp.zeros((0, 0)), {"decoder": draw_deep()})
    with pytest.raises(ValueError, match=r"of Site.*, but tiny has Site"):
        for_model(prompt, make_tiny().backbone.config, "tiny")
    with pytest.raises(ValueError, match="for far, which is not here"):
        for_model(prompt, None, "far")
