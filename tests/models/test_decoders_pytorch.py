"""Small decoders of the installed PyTorch transformers: the files' scores, and ours."""

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
