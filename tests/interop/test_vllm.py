"""vLLM's prompt embeddings come and go as one tensor, never as a pickle."""

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from tiny import WIDTH, draw_prompt

from jaxprompt.interop.exchange import Given
from jaxprompt.interop.forms import find_form

FORM = find_form("vllm")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_tensor_is_tokens_by_width_and_comes_back(tmp_path, dtype):
    path, prompt = tmp_path / "prompt.safetensors", draw_prompt(0)
    notes = FORM.write(path, Given(prompts=[prompt], provenances=[], dtype=dtype))
    tensors = safetensors.numpy.load_file(path)
    assert list(tensors) == ["prompt_embeds"]
    rows = tensors["prompt_embeds"]
    assert (rows.dtype.name, rows.shape) == (dtype, (3, WIDTH))
    assert len(notes) == (dtype != "float32")
    (back,) = FORM.read(path).prompts
    np.testing.assert_array_equal(back.rows[0], rows.astype(np.float32))
    np.testing.assert_array_equal(back.rows.astype(dtype), prompt.rows.astype(dtype))


def test_a_first_axis_of_one_is_dropped_as_there(tmp_path):
    path, rows = tmp_path / "p.safetensors", np.ones((1, 3, WIDTH), np.float32)
    safetensors.numpy.save_file({"prompt_embeds": rows}, path)
    assert FORM.read(path).prompts[0].rows.shape == (1, 3, WIDTH)


def test_other_tensors_are_refused(tmp_path):
    path = tmp_path / "p.safetensors"
    rows = np.ones((3, WIDTH), np.float32)
    for tensors, message in (
        ({"prompt": rows}, "holds prompt, where one tensor 'prompt_embeds' should be"),
        ({"prompt_embeds": rows, "b": rows}, "holds b, prompt_embeds, where"),
        ({"prompt_embeds": np.ones((2, 3, 4), np.float32)}, r"is float32 \[2, 3, 4\]"),
        ({"prompt_embeds": rows.astype(np.float64)}, r"is float64 \[3, 16\]"),
        ({"prompt_embeds": rows * jnp.nan}, "not finite"),
    ):
        arrays = {name: np.asarray(array) for name, array in tensors.items()}
        safetensors.numpy.save_file(arrays, path)
        with pytest.raises(ValueError, match=message):
            FORM.read(path)
    with pytest.raises(FileNotFoundError, match="no prompt file at"):
        FORM.read(tmp_path / "none.safetensors")


def test_what_torch_saved_is_refused_with_a_command_that_converts_it(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("safetensors.torch")
    path = tmp_path / "p.pt"
    torch.save(torch.ones(3, WIDTH, dtype=torch.bfloat16), path)
    with pytest.raises(ValueError, match="is a pickle and never read here") as refused:
        FORM.read(path)
    # Its own command, as a shell would pass it.
    code = str(refused.value).split('python -c "')[1].removesuffix('"')
    exec(code)
    (prompt,) = FORM.read(tmp_path / "p.safetensors").prompts
    np.testing.assert_array_equal(prompt.rows, np.ones((1, 3, WIDTH)))
