"""An exported prompt does in PEFT and PyTorch what it does here, and one from there.

Over padded rows, for a tied and an untied model: logits by teacher forcing, and what
greedy search writes.
"""

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from tiny import CONFIG, LENGTH, VOCAB_ROWS, WIDTH, Tiny, draw_prompt, make_tiny

from jaxprompt.evaluate.decode import greedy
from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form
from jaxprompt.models.weights.save import save
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.prompt import Prompt, unstack
from jaxprompt.prompts.provenance import Provenance
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import Batch, unpacked_batch

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT 0.21 still asks for a name that transformers 5 is about to drop.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)
STEPS = 6
score = jax.jit(prompted_logits, static_argnums=0)
write = jax.jit(greedy, static_argnums=0, static_argnames="length")


@dataclasses.dataclass(frozen=True)
class Both:
    """One model in both libraries, its folder, and a padded batch of texts."""

    tiny: Tiny
    folder: Path
    texts: np.ndarray
    targets: np.ndarray

    def torch_model(self) -> Any:
        return transformers.T5ForConditionalGeneration.from_pretrained(self.folder)

    def batch(self) -> Batch:
        soft = np.tile(prefix(VOCAB_ROWS, LENGTH), (len(self.texts), 1))
        texts = np.where(self.texts == 0, NO_TOKEN, self.texts)
        return unpacked_batch(np.concatenate([soft, texts], axis=1), self.targets)

    def our_logits(self, prompt: Prompt) -> np.ndarray:
        params = self.tiny.join(prompt)
        return np.asarray(score(self.tiny.backbone, params, self.batch()))

    def our_ids(self, prompt: Prompt) -> np.ndarray:
        params = self.tiny.join(prompt)
        return np.asarray(write(self.tiny.backbone, params, self.batch(), length=STEPS))

    def mask(self) -> Any:
        return torch.tensor(self.texts > 0).long()

    def their_logits(self, model: Any) -> np.ndarray:
        with torch.no_grad():
            out = model(
                input_ids=torch.tensor(self.texts).long(),
                attention_mask=self.mask(),
                labels=torch.tensor(self.targets).long(),
            )
        return out.logits.numpy()

    def logits_of_embeddings(self, soft: Any) -> np.ndarray:
        """Scores soft rows in front of the text's embeddings, in plain PyTorch."""
        model = self.torch_model().eval()
        text = model.get_input_embeddings()(torch.tensor(self.texts).long())
        soft = soft.to(text.dtype).expand(len(text), *soft.shape)
        ones = torch.ones(len(text), soft.shape[1], dtype=torch.long)
        with torch.no_grad():
            out = model(
                inputs_embeds=torch.cat([soft, text], dim=1),
                attention_mask=torch.cat([ones, self.mask()], dim=1),
                labels=torch.tensor(self.targets).long(),
            )
        return out.logits.numpy()


@pytest.fixture(params=[False, True], ids=["untied", "tied"], scope="module")
def both(request: pytest.FixtureRequest, tmp_path_factory: Any) -> Both:
    tiny = make_tiny(dataclasses.replace(CONFIG, tied=request.param))
    folder = tmp_path_factory.mktemp("model") / "t5"
    save(folder, tiny.backbone, tiny.model)
    draw = np.random.default_rng(0)
    texts = draw.integers(2, VOCAB_ROWS, (4, 7)).astype(np.int32)
    texts[1, 4:], texts[2, 1:] = 0, 0
    targets = draw.integers(2, VOCAB_ROWS, (4, 5)).astype(np.int32)
    return Both(tiny, folder, texts, targets)


def provenance(folder: Path) -> Provenance:
    return Provenance(
        backbone=str(folder),
        revision=None,
        fingerprint="",
        length=LENGTH,
        width=WIDTH,
    )


def test_a_prompt_of_ours_scores_and_writes_the_same_in_peft(both: Both, tmp_path):
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

    written = theirs.generate(
        input_ids=torch.tensor(both.texts).long(),
        attention_mask=both.mask(),
        max_new_tokens=STEPS,
        do_sample=False,
    )
    padded = np.zeros((len(both.texts), STEPS), np.int32)
    padded[:, : written.shape[1] - 1] = written[:, 1:]  # It begins with the start.
    np.testing.assert_array_equal(both.our_ids(prompt), padded)
    # The base model that the config names is found too.
    alone = peft.AutoPeftModelForSeq2SeqLM.from_pretrained(adapter).eval()
    np.testing.assert_allclose(ours, both.their_logits(alone), atol=1e-4)


def train_step(both: Both, config: Any, **task: Any) -> Any:
    """Trains a PEFT adapter of a T5 for one step."""
    torch.manual_seed(0)
    theirs = peft.get_peft_model(both.torch_model(), config)
    for name, factor in theirs.named_parameters():
        if "prefix_task" in name:  # They start so near 0 that the prompt is nothing.
            torch.nn.init.normal_(factor)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=1.0)
    theirs(
        input_ids=torch.tensor(both.texts).long(),
        attention_mask=both.mask(),
        labels=torch.tensor(both.targets).long(),
        **task,
    ).loss.backward()
    optimizer.step()
    return theirs.eval()


def save_adapter(theirs: Any, folder: Path) -> Path:
    with warnings.catch_warnings():
        # It would like to ask the Hub about the base model's vocabulary.
        warnings.simplefilter("ignore")
        theirs.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("kind", ["PromptTuningConfig", "PromptEncoderConfig"])
@pytest.mark.parametrize("submodules", [None, 1])
def test_a_prompt_that_peft_trained_scores_the_same_here(
    both: Both, tmp_path, kind, submodules
):
    config = getattr(peft, kind)(
        task_type=peft.TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=LENGTH,
        num_transformer_submodules=submodules,
    )
    theirs = train_step(both, config)
    taken = find_form("peft").read(save_adapter(theirs, tmp_path / "adapter"))
    assert taken.backbone == str(both.folder)
    assert len(taken.notes) == (submodules is None)
    (prompt,) = taken.prompts
    assert prompt.rows.shape == (1, LENGTH, WIDTH)
    np.testing.assert_allclose(
        both.our_logits(prompt), both.their_logits(theirs), atol=1e-4
    )


@pytest.mark.parametrize("submodules", [2, 1])
def test_each_task_of_peft_writes_the_same_here(both: Both, tmp_path, submodules):
    config = peft.MultitaskPromptTuningConfig(
        task_type=peft.TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=LENGTH,
        num_transformer_submodules=submodules,
        num_tasks=2,
    )
    rows = len(both.texts)
    theirs = train_step(both, config, task_ids=torch.arange(rows) % 2)
    taken = find_form("peft").read(save_adapter(theirs, tmp_path / "adapter"))
    written = []
    for task, prompt in enumerate(taken.prompts):
        ids = theirs.generate(
            input_ids=torch.tensor(both.texts).long(),
            attention_mask=both.mask(),
            task_ids=torch.full((rows,), task),
            max_new_tokens=STEPS,
            do_sample=False,
        )
        padded = np.zeros((rows, STEPS), np.int32)
        padded[:, : ids.shape[1] - 1] = ids[:, 1:]  # It begins with the start.
        np.testing.assert_array_equal(both.our_ids(prompt), padded)
        written.append(padded)
    assert (written[0] != written[1]).any()
    (note,) = taken.notes or ("",)
    assert ("does not read when it generates" in note) == (submodules == 2)


def test_vllms_embeddings_score_the_same_in_front_of_a_text(both: Both, tmp_path):
    path, prompt = tmp_path / "prompt.safetensors", draw_prompt(5)
    find_form("vllm").write(path, Given(prompts=[prompt], provenances=[]))
    from safetensors.torch import load_file

    soft = load_file(path)["prompt_embeds"]
    assert soft.dtype == torch.float32
    np.testing.assert_allclose(
        both.our_logits(prompt), both.logits_of_embeddings(soft), atol=1e-4
    )


def test_each_task_of_a_tensorrt_llm_table_scores_as_its_prompt(both: Both, tmp_path):
    path, prompts = tmp_path / "table.npy", unstack(draw_prompt(5, members=2))
    find_form("tensorrt_llm").write(path, Given(prompts=prompts, provenances=[]))
    # What its runner does with the file: the table of a request is its task's.
    table = torch.from_numpy(np.load(path))
    for task, prompt in enumerate(prompts):
        np.testing.assert_allclose(
            both.our_logits(prompt), both.logits_of_embeddings(table[task]), atol=1e-4
        )


def test_bfloat16_rows_are_what_pytorch_rounds_to(tmp_path):
    path, prompt = tmp_path / "prompt.safetensors", draw_prompt(5)
    given = Given(prompts=[prompt], provenances=[], dtype="bfloat16")
    find_form("vllm").write(path, given)
    stored = safetensors.numpy.load_file(path)["prompt_embeds"]
    rounded = torch.tensor(np.asarray(prompt.rows[0])).to(torch.bfloat16)
    np.testing.assert_array_equal(stored.astype(np.float32), rounded.float().numpy())
    assert stored.dtype == jnp.bfloat16
