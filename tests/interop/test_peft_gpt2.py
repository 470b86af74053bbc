"""A prompt of a GPT-2 does the same in PEFT and here, as soft tokens or as a prefix."""

import dataclasses
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form
from jaxprompt.interop.peft_prefix import write_prefix
from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import Prompt, make_prompt
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, Params

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT 0.21 still asks for a name that transformers 5 is about to drop.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)
PROMPT_LENGTH, WIDTH = 5, 32
CONFIG = GPT2Config(
    vocab_size=60, width=WIDTH, heads=4, ffn_width=48, layers=3, positions=40
)


@dataclasses.dataclass(frozen=True)
class Both:
    """One model in both libraries, its folder, and texts without padding."""

    backbone: Decoder
    model: Params
    folder: Path
    texts: np.ndarray

    def torch_model(self) -> Any:
        return transformers.GPT2LMHeadModel.from_pretrained(self.folder)

    def our_logits(self, prompt: Prompt) -> np.ndarray:
        """Scores the token behind each of a text's, the prompt in front."""
        rows, length = self.texts.shape
        *lead, last = prefix(self.backbone.vocab_rows, prompt.length).tolist()
        # A text of T tokens: the last soft one is the source, all others are targets.
        inputs = jnp.full((rows, 1), last, jnp.int32)
        ones = jnp.ones((rows, length), jnp.int32)
        batch = Batch(
            inputs=inputs,
            input_segments=jnp.ones_like(inputs),
            targets=ones,
            target_inputs=jnp.asarray(self.texts),
            target_segments=ones,
            weights=ones.astype(jnp.float32),
            members=jnp.zeros(rows, jnp.int32),
            lead=tuple(lead),
        )
        params = {"model": self.model, "prompt": prompt}
        logits = jax.jit(prompted_logits, static_argnums=0)(
            self.backbone, params, batch
        )
        return np.asarray(logits)[..., : CONFIG.vocab_size]

    def their_logits(self, model: Any, **more: Any) -> np.ndarray:
        """Scores the same in PEFT's model."""
        ids = torch.tensor(self.texts).long()
        with torch.no_grad():
            out = model(input_ids=ids, attention_mask=torch.ones_like(ids), **more)
        return out.logits.numpy()[:, -ids.shape[1] :]


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Both:
    backbone = Decoder(CONFIG)
    model = jax.jit(backbone.init)(jax.random.key(0))
    # Far from the start, where a prompt would hardly matter.
    model = jax.tree.map(lambda leaf: leaf * 4 if leaf.ndim > 1 else leaf, model)
    folder = tmp_path_factory.mktemp("model") / "gpt2"
    save(folder, backbone, model)
    draw = np.random.default_rng(0)
    texts = draw.integers(0, CONFIG.vocab_size, (3, 7)).astype(np.int32)
    return Both(backbone, model, folder, texts)


def draw_prompt(seed: int) -> Prompt:
    rows = np.random.default_rng(seed).normal(size=(PROMPT_LENGTH, WIDTH))
    return make_prompt(jnp.asarray(rows, jnp.float32))


def provenance(folder: Path) -> Provenance:
    return Provenance(
        backbone=str(folder),
        revision=None,
        fingerprint="",
        length=PROMPT_LENGTH,
        width=WIDTH,
        causal=True,
    )


def test_a_prompt_of_ours_scores_the_same_in_peft(both: Both, tmp_path: Path):
    prompt, adapter = draw_prompt(5), tmp_path / "adapter"
    given = Given(
        prompts=[prompt],
        provenances=[provenance(both.folder)],
        backbone=str(both.folder),
    )
    find_form("peft").write(adapter, given)
    theirs = peft.PeftModel.from_pretrained(both.torch_model(), adapter).eval()
    ours = both.our_logits(prompt)
    np.testing.assert_allclose(ours, both.their_logits(theirs), atol=1e-4)
    # Of another prompt the logits are others, so equal ones mean something.
    assert np.abs(ours - both.our_logits(draw_prompt(6))).max() > 0.1


LM = {"task_type": peft.TaskType.CAUSAL_LM, "num_virtual_tokens": PROMPT_LENGTH}
CONFIGS = {
    "prompt": peft.PromptTuningConfig(**LM),
    "mlp": peft.PromptEncoderConfig(**LM, encoder_hidden_size=24),
    "lstm": peft.PromptEncoderConfig(
        **LM, encoder_hidden_size=24, encoder_reparameterization_type="LSTM"
    ),
    "context": peft.CPTConfig(
        **LM,
        cpt_token_ids=[*range(3, 3 + PROMPT_LENGTH)],
        cpt_mask=[1] * PROMPT_LENGTH,
        cpt_tokens_type_mask=[1, 2, 2, 3, 4],
        opt_projection_epsilon=50.0,
        opt_projection_format_epsilon=50.0,
    ),
    "tasks": peft.MultitaskPromptTuningConfig(**LM, num_tasks=2, num_ranks=2),
}


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_prompt_that_peft_trained_scores_the_same_here(
    both: Both, tmp_path: Path, kind: str
):
    torch.manual_seed(0)
    theirs = peft.get_peft_model(both.torch_model(), CONFIGS[kind])
    if kind == "tasks":
        # They start so near 0 that every task would be as no prompt at all.
        for factor in ("prefix_task_cols", "prefix_task_rows"):
            torch.nn.init.normal_(getattr(theirs.prompt_encoder["default"], factor))
    optimizer = torch.optim.SGD(theirs.parameters(), lr=1.0)
    ids = torch.tensor(both.texts).long()
    of_tasks = [{"task_ids": torch.full((len(ids),), t)} for t in (0, 1)]
    tasks = of_tasks if kind == "tasks" else [{}]
    for task in tasks:
        given = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "labels": ids,
        }
        theirs(**given, **task).loss.backward()
    optimizer.step()
    theirs.eval().save_pretrained(tmp_path / "adapter", save_embedding_layers=False)
    taken = find_form("peft").read(tmp_path / "adapter")
    assert taken.causal
    assert taken.backbone == str(both.folder)
    scored = [both.our_logits(prompt) for prompt in taken.prompts]
    for ours, task in zip(scored, tasks, strict=True):
        np.testing.assert_allclose(ours, both.their_logits(theirs, **task), atol=1e-4)
    if kind == "tasks":
        assert np.abs(scored[0] - scored[1]).max() > 0.1


def test_the_folded_prompt_is_prefix_tuning_in_peft(both: Both, tmp_path: Path):
    prompt, adapter = draw_prompt(5), tmp_path / "adapter"
    write_prefix(adapter, both.backbone, both.model, prompt, str(both.folder))
    theirs = peft.PeftModel.from_pretrained(both.torch_model(), adapter).eval()
    assert theirs.active_peft_config.peft_type == peft.PeftType.PREFIX_TUNING
    np.testing.assert_allclose(
        both.our_logits(prompt), both.their_logits(theirs), atol=1e-4
    )
    # They come back as keys and values: the same model, whose prompt is deep.
    taken = find_form("peft").read(adapter)
    assert taken.prompts[0].told == "5 keys and values in each of 3 layers at decoder"
