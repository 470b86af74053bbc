"""Small decoders of the installed PyTorch transformers: the files' scores, and ours."""

import jax
import numpy as np
import pytest
from golden_files import GOLDEN

from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
make_golden_decoders = pytest.importorskip("make_golden_decoders")

VARIANTS = list(make_golden_decoders.VARIANTS)


def test_there_is_a_file_of_every_variant():
    assert sorted(VARIANTS) == sorted(
        path.stem for path in (GOLDEN / "decoders").iterdir()
    )


@pytest.mark.parametrize("name", VARIANTS)
def test_a_saved_folder_scores_in_transformers_as_the_files_say(golden, name, tmp_path):
    """So does what transformers itself would write, whose release made the files."""
    golden = golden(f"decoders/{name}")
    save(tmp_path / "saved", *load(golden.folder))
    rows = {
        key: torch.tensor(golden.arrays[key])
        for key in ("ids", "seen", "prompt", "prefix")
    }
    for folder in (golden.folder, tmp_path / "saved"):
        model = transformers.AutoModelForCausalLM.from_pretrained(
            folder, attn_implementation="eager"
        )
        found = make_golden_decoders.score(model.eval(), rows)
        for key in ("logits", "logits_behind"):
            # Scores of padding are of no use.
            seen = golden.arrays["seen"] > 0
            np.testing.assert_allclose(
                found[key].numpy()[seen], golden.arrays[key][seen], atol=1e-5
            )


def test_of_what_transformers_saves_of_a_gemma_with_images_the_text_is_read(
    golden, tmp_path
):
    golden = golden("decoders/gemma3_linear")
    alone, params = load(golden.folder)
    sides = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    pixels = {"num_attention_heads": 1, "image_size": 28, "patch_size": 14}
    model = transformers.Gemma3ForConditionalGeneration(
        transformers.Gemma3Config(
            text_config=golden.config(), vision_config={**sides, **pixels}
        )
    )
    text = transformers.AutoModelForCausalLM.from_pretrained(golden.folder)
    model.model.language_model.load_state_dict(text.model.state_dict())
    model.save_pretrained(tmp_path)
    backbone, found = load(tmp_path)
    assert backbone.config == alone.config
    assert backbone.fingerprint == alone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, found, params)
    # Without an image it scores texts as its text model does.
    ids = torch.tensor(golden.arrays["ids"])[:1]
    np.testing.assert_allclose(
        model.eval()(ids).logits.detach(), text.eval()(ids).logits.detach(), atol=1e-5
    )
