"""A prompt of this project does in Hugging Face PEFT what it does here."""

import jax
import numpy as np
import pytest
from tiny import Tiny

from jaxprompt.models.weights.save import save
from jaxprompt.no_token import NO_TOKEN
from jaxprompt.prompts.init import init_prompt
from jaxprompt.prompts.join import prompted_logits
from jaxprompt.prompts.soft_ids import prefix
from jaxprompt.shapes import unpacked_batch

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")


# PEFT 0.21 still asks for a name that transformers 5 is about to drop.
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_logits_equal_those_of_pefts_prompt_tuning(tiny: Tiny, tmp_path):
    save(tmp_path / "t5", tiny.backbone, tiny.model)
    table = tiny.backbone.table(tiny.model)
    prompt = init_prompt(jax.random.key(3), table, length=5, method="normal")

    rng = np.random.default_rng(0)
    rows = len(table)
    texts = rng.integers(2, rows, (3, 7)).astype(np.int32)
    texts[1, 4:] = 0
    targets = rng.integers(2, rows, (3, 4)).astype(np.int32)
    soft = np.tile(prefix(rows, 5), (3, 1))
    inputs = np.concatenate([soft, texts], axis=1)
    batch = unpacked_batch(np.where(inputs == 0, NO_TOKEN, inputs), targets)
    ours = prompted_logits(
        tiny.backbone, {"model": tiny.model, "prompt": prompt}, batch
    )

    config = peft.PromptTuningConfig(
        task_type=peft.TaskType.SEQ_2_SEQ_LM,
        num_virtual_tokens=5,
        num_transformer_submodules=1,
    )
    start = transformers.T5ForConditionalGeneration.from_pretrained(tmp_path / "t5")
    theirs = peft.get_peft_model(start, config).eval()
    weight = theirs.prompt_encoder["default"].embedding.weight
    with torch.no_grad():
        weight.copy_(torch.tensor(np.asarray(prompt.rows[0])))
        logits = theirs(
            input_ids=torch.tensor(texts).long(),
            attention_mask=torch.tensor(texts > 0).long(),
            labels=torch.tensor(targets).long(),
        ).logits
    np.testing.assert_allclose(ours, logits.numpy(), atol=1e-4)
    assert np.ptp(np.asarray(ours)) > 0.1
