"""What the README says of PEFT beside jaxprompt is so; each was tried by hand first."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")
peft = pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

# PEFT 0.21 still asks for a name that transformers 5 is about to drop.
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing`:FutureWarning"
)


def gpt2(seed: int = 0) -> Any:
    torch.manual_seed(seed)
    config = transformers.GPT2Config(
        vocab_size=50, n_embd=16, n_layer=2, n_head=2, n_positions=32
    )
    return transformers.GPT2LMHeadModel(config).eval()


def prompted(model: Any, seed: int = 1) -> Any:
    torch.manual_seed(seed)
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    return peft.get_peft_model(model, config).eval()


def last_logits(model: Any, ids: Any, mask: Any = None, **others: Any) -> Any:
    with torch.no_grad():
        return model(input_ids=ids, attention_mask=mask, **others).logits[:, -1]


def test_rows_of_a_batch_cannot_name_their_prompts():
    model = prompted(gpt2())
    torch.manual_seed(2)
    model.add_adapter("other", model.peft_config["default"])
    ids = torch.arange(2, 10).reshape(2, 4)
    mask = torch.ones_like(ids)
    named = last_logits(model, ids, mask, adapter_names=["default", "other"])
    alone = last_logits(model, ids, mask)
    model.set_adapter("other")
    other = last_logits(model, ids, mask)
    assert (other - alone).abs().max() > 1e-4
    torch.testing.assert_close(named, alone, rtol=0, atol=0)


def test_a_saved_prompt_cannot_be_trained_on(tmp_path: Path):
    prompted(gpt2()).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="Cannot set a prompt learning adapter to"):
        peft.PeftModel.from_pretrained(gpt2(), tmp_path, is_trainable=True)


def test_padding_in_front_of_a_text_changes_its_logits():
    model, ids = gpt2(), torch.tensor([[5, 6, 7, 8]])
    padded = torch.cat([torch.zeros(1, 3, dtype=ids.dtype), ids], dim=1)
    mask = (padded > 0).long()
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    bare = last_logits(model, padded, mask, position_ids=places)
    torch.testing.assert_close(bare, last_logits(model, ids), rtol=0, atol=1e-5)
    model = prompted(model)
    alone = last_logits(model, ids, torch.ones_like(ids))
    with pytest.warns(UserWarning, match="Position ids are not supported"):
        behind_padding = last_logits(model, padded, mask, position_ids=places)
    assert (behind_padding - alone).abs().max() > 1e-3


def test_half_of_a_t5_s_prefix_is_never_read():
    torch.manual_seed(0)
    config = transformers.T5Config(
        vocab_size=50,
        d_model=16,
        d_kv=8,
        d_ff=16,
        num_layers=4,
        num_heads=2,
        decoder_start_token_id=0,
    )
    prefix = peft.PrefixTuningConfig(task_type="SEQ_2_SEQ_LM", num_virtual_tokens=3)
    model = peft.get_peft_model(transformers.T5ForConditionalGeneration(config), prefix)
    ids = torch.tensor([[5, 6, 7, 1]])
    model(input_ids=ids, labels=ids).loss.backward()
    (prompt,) = (p for p in model.parameters() if p.requires_grad)
    # Keys and values of layer after layer, one slab of the width each.
    moved = prompt.grad.reshape(3, 8, 16).abs().amax(dim=(0, 2)) > 0
    assert moved.tolist() == [True, True, False, False] * 2


def test_a_prompt_is_put_before_a_model_that_it_was_not_trained_on(tmp_path: Path):
    prompted(gpt2(seed=0)).save_pretrained(tmp_path)
    another = peft.PeftModel.from_pretrained(gpt2(seed=5), tmp_path)
    assert last_logits(another, torch.tensor([[5, 6]])).isfinite().all()
