"""PEFT's folder of a prompt for T5 comes and goes; other adapters are refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from tiny import LENGTH, WIDTH, draw_prompt

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form
from jaxprompt.interop.peft import PICKLE
from jaxprompt.interop.peft_prefix import CONFIG, WEIGHTS
from jaxprompt.prompts.provenance import Provenance

FORM = find_form("peft")
WELL_KNOWN = "google/t5-v1_1-base"


def given(backbone: str = "", name: str = WELL_KNOWN, **options: Any) -> Given:
    provenance = Provenance(
        backbone=name, revision="abc", fingerprint="", length=LENGTH, width=WIDTH
    )
    return Given(
        prompts=[draw_prompt(0)],
        provenances=[provenance],
        backbone=backbone,
        **options,
    )


def write(folder: Path, tensors: dict[str, np.ndarray], **config: Any) -> Path:
    """Writes an adapter as PEFT does, but for what is set here."""
    known = {
        "peft_type": "PROMPT_TUNING",
        "task_type": "SEQ_2_SEQ_LM",
        "num_virtual_tokens": LENGTH,
    }
    folder.mkdir(exist_ok=True)
    (folder / CONFIG).write_text(json.dumps({**known, **config}))
    safetensors.numpy.save_file(tensors, folder / WEIGHTS)
    return folder


def rows(count: int = LENGTH, width: int = WIDTH) -> dict[str, np.ndarray]:
    drawn = np.random.default_rng(0).normal(size=(count, width))
    return {"prompt_embeddings": drawn.astype(np.float32)}


def test_the_folder_holds_one_tensor_and_what_peft_needs_to_know(tmp_path):
    folder = tmp_path / "adapter"
    assert FORM.write(folder, given()) == ()
    tensors = safetensors.numpy.load_file(folder / WEIGHTS)
    assert {name: (x.dtype.name, x.shape) for name, x in tensors.items()} == {
        "prompt_embeddings": ("float32", (LENGTH, WIDTH))
    }
    known = {
        "peft_type": "PROMPT_TUNING",
        "task_type": "SEQ_2_SEQ_LM",
        "num_virtual_tokens": LENGTH,
        "num_transformer_submodules": 1,
        "token_dim": WIDTH,
        "inference_mode": True,
        "base_model_name_or_path": WELL_KNOWN,
        "revision": "abc",
    }
    config = json.loads((folder / CONFIG).read_text())
    assert known.items() <= config.items()
    # PEFT takes these from the model; only a model that lies here is asked.
    assert config.keys().isdisjoint({"num_layers", "num_attention_heads"})
    taken = FORM.read(folder)
    np.testing.assert_array_equal(taken.prompts[0].rows, draw_prompt(0).rows)
    assert (taken.backbone, taken.notes) == (WELL_KNOWN, ())


def test_the_sizes_of_a_model_that_lies_here_are_written(tmp_path):
    wide = Given(
        prompts=[draw_prompt(0)],
        provenances=given(name="bundled:nano").provenances,
    )
    with pytest.raises(ValueError, match="prompt width 16 != model width 128"):
        FORM.write(tmp_path / "adapter", wide)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_as_many_bytes_come_back_as_they_were_rounded(tmp_path, dtype):
    folder = tmp_path / "adapter"
    (note,) = FORM.write(folder, given(dtype=dtype))
    assert f"rounded to {dtype}: " in note
    (prompt,) = FORM.read(folder).prompts
    original = np.asarray(draw_prompt(0).rows)
    np.testing.assert_array_equal(
        prompt.rows, original.astype(np.dtype(dtype)).astype(np.float32)
    )


def test_of_pefts_two_prompts_the_first_is_kept(tmp_path):
    tensors = rows(2 * LENGTH)
    taken = FORM.read(write(tmp_path / "adapter", tensors, token_dim=WIDTH))
    np.testing.assert_array_equal(
        taken.prompts[0].rows[0], tensors["prompt_embeddings"][:LENGTH]
    )
    (note,) = taken.notes
    assert "kept the first 3 of 6 rows: the rest are PEFT's second prompt" in note


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"peft_type": "PREFIX_TUNING"},
            r"is \[3, 16\], but .* num_layers None, .*take both from one",
        ),
        (
            {"peft_type": "P_TUNING", "num_layers": 2, "token_dim": 4},
            r"is \[3, 16\], but .* num_layers 2, num_attention_heads None, token_dim 4",
        ),
        ({"task_type": "SEQ_CLS"}, "task_type 'SEQ_CLS': only SEQ_2_SEQ_LM"),
        ({"task_type": "SPEECH"}, "task_type 'SPEECH' is none of SEQ_2_SEQ_LM, CAUSAL"),
        ({"modules_to_save": ["lm_head"]}, r"modules_to_save \['lm_head'\]: a prompt"),
        ({"num_virtual_tokens": "many"}, "num_virtual_tokens 'many' is no length"),
        ({"num_virtual_tokens": 2}, r"is \[3, 16\], but .* num_virtual_tokens 2"),
        (
            {"token_dim": 8},
            r"is \[3, 16\], but adapter_config.json says .* token_dim 8",
        ),
    ],
)
def test_another_adapter_is_refused_in_a_line(tmp_path, config, message):
    folder = write(tmp_path / "adapter", rows(), **config)
    with pytest.raises(ValueError, match=message) as refused:
        FORM.read(folder)
    assert "\n" not in str(refused.value)


def test_other_tensors_are_refused(tmp_path):
    folder = write(tmp_path / "adapter", {**rows(), "base_model.head": np.ones(2)})
    with pytest.raises(ValueError, match=r"holds base_model\.head, prompt_embeddings"):
        FORM.read(folder)
    write(folder, {"prompt_embeddings": np.full((3, 16), np.nan, np.float32)})
    with pytest.raises(
        ValueError, match="prompt_embeddings holds numbers that are not"
    ):
        FORM.read(folder)


def test_what_changes_the_model_itself_is_told(tmp_path):
    tensors = {f"base_model.model.q.lora_{x}.weight": np.ones((2, 2)) for x in "AB"}
    folder = write(
        tmp_path / "adapter", tensors, peft_type="LORA", num_virtual_tokens=None
    )
    with pytest.raises(
        ValueError,
        match=r"holds base_model\.model\.q\.lora_A\.weight, .* an adapter of peft_type "
        "'LORA' is more, or other, than the rows in front of a text",
    ) as refused:
        FORM.read(folder)
    assert "\n" not in str(refused.value)


def test_each_task_has_its_own_factors(tmp_path):
    draw = np.random.default_rng(1)
    columns = draw.normal(size=(3, LENGTH, 2)).astype(np.float32)
    factors = draw.normal(size=(3, 2, WIDTH)).astype(np.float32)
    tensors = {**rows(), "prefix_task_cols": columns, "prefix_task_rows": factors}
    kind = {"peft_type": "MULTITASK_PROMPT_TUNING"}
    taken = FORM.read(write(tmp_path / "adapter", tensors, **kind))
    shared = tensors["prompt_embeddings"]
    assert len(taken.prompts) == 3
    for prompt, left, right in zip(taken.prompts, columns, factors, strict=True):
        expected = np.einsum("pd,pr,rd->pd", shared, left, right)
        np.testing.assert_allclose(prompt.rows[0], expected, rtol=1e-5, atol=1e-6)
    tensors["prefix_task_rows"] = factors[:2]
    with pytest.raises(
        ValueError, match=r"cols is \[3, 3, 2\] and prefix_task_rows \[2"
    ):
        FORM.read(write(tmp_path / "adapter", tensors, **kind))


@pytest.mark.parametrize(
    "kind", ["P_TUNING", "MULTITASK_PROMPT_TUNING", "NEWEST", None]
)
def test_what_an_adapter_holds_counts_and_not_its_type(tmp_path, kind):
    folder = write(tmp_path / "adapter", rows(), peft_type=kind)
    (prompt,) = FORM.read(folder).prompts
    np.testing.assert_array_equal(prompt.rows[0], rows()["prompt_embeddings"])
    ones = {
        "prefix_task_cols": np.ones((2, LENGTH, 1), np.float32),
        "prefix_task_rows": np.full((2, 1, WIDTH), 2.0, np.float32),
    }
    taken = FORM.read(write(folder, {**rows(), **ones}, peft_type=kind))
    assert len(taken.prompts) == 2
    np.testing.assert_array_equal(taken.prompts[1].rows, 2 * np.asarray(prompt.rows))
    keys = {"num_layers": 2, "num_attention_heads": 1, "token_dim": WIDTH // 4}
    (deep,) = FORM.read(write(folder, rows(), peft_type=kind, **keys)).prompts[0].deep
    assert deep == "decoder"


def test_a_pickle_is_refused_with_a_command_that_converts_it(tmp_path):
    folder = write(tmp_path / "adapter", rows())
    (folder / WEIGHTS).rename(folder / PICKLE)
    with pytest.raises(ValueError, match="is a pickle, which can run any code") as no:
        FORM.read(folder)
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors.torch")
    prompt = torch.tensor(rows()["prompt_embeddings"])
    torch.save({"prompt_embeddings": prompt}, folder / PICKLE)
    exec(str(no.value).split('python -c "')[1].removesuffix('"'))
    np.testing.assert_array_equal(FORM.read(folder).prompts[0].rows[0], prompt.numpy())


def test_missing_or_broken_files_are_told(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*none: name the one that"):
        FORM.read(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no adapter_config\.json in"):
        FORM.read(tmp_path)
    folder = write(tmp_path / "adapter", rows())
    (folder / WEIGHTS).write_bytes(b"cut")
    with pytest.raises(ValueError, match=r"is not a whole safetensors file"):
        FORM.read(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(FileNotFoundError, match=r"no prompt file at .*safetensors"):
        FORM.read(folder)
    (folder / CONFIG).write_text("{")
    with pytest.raises(ValueError, match=r"adapter_config\.json is not JSON"):
        FORM.read(folder)
    (folder / CONFIG).write_text("[]")
    with pytest.raises(ValueError, match="holds no JSON object"):
        FORM.read(folder)
