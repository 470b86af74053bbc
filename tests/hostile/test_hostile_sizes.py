"""Sizes in a model's files, however large: one quick error that names file and size."""

import json
import re
import shutil
import time
import tracemalloc
from pathlib import Path

import jax
import numpy as np
import pytest
import safetensors.numpy
from tiny import make_tiny

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.families.gpt2 import GPT2Config
from jaxprompt.models.load import find_checkpoint
from jaxprompt.models.weights.checkpoint import shapes_of
from jaxprompt.models.weights.save import save

T5_SIZES = (
    *("vocab_size", "d_model", "num_heads", "d_kv", "d_ff", "num_layers"),
    *("num_decoder_layers", "relative_attention_num_buckets"),
    "relative_attention_max_distance",
)
GPT2_SIZES = ("vocab_size", "n_embd", "n_head", "n_layer", "n_positions", "n_inner")
WITH_ANOTHER = {
    "n_head": "width 16 is not divisible by {} heads",
    "relative_attention_num_buckets": "buckets {}, max_distance 128: the position",
}
"""Sizes that do not even fit another one of the same file."""

HUGE = (10**6, 10**9, 2**31 - 2, 2**31, 2**63, 10**400)
WRONG = (0, -1, True, 1.5, "8", [], {})


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    folder, tiny = tmp_path_factory.mktemp("models"), make_tiny()
    save(folder / "t5", tiny.backbone, tiny.model)
    config = GPT2Config(
        vocab_size=61, width=16, heads=2, ffn_width=32, layers=2, positions=48
    )
    ones = jax.tree.map(lambda leaf: np.ones(leaf.shape, "f4"), shapes_of(config))
    save(folder / "gpt2", Decoder(config), ones)
    return {"t5": folder / "t5", "gpt2": folder / "gpt2"}


def refusal(folder: Path) -> str:
    """Returns the one line that refuses a folder, soon and without much memory."""
    # Of this process, for other work on the machine takes none of it.
    started = time.process_time()
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=re.escape(str(folder))) as caught:
            find_checkpoint(folder)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.process_time() - started < 2
    assert peak < 50e6
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    ("family", "setting"),
    [
        *(("t5", name) for name in T5_SIZES),
        *(("gpt2", name) for name in GPT2_SIZES),
    ],
)
def test_a_size_that_no_tensor_has_is_refused_at_once(folders, family, setting):
    path = folders[family] / "config.json"
    sound = path.read_text()
    try:
        for size in HUGE:
            # A distance is no size of a tensor; any that fits 32 bits is one.
            if setting.endswith("max_distance") and size < 2**31:
                continue
            path.write_text(json.dumps({**json.loads(sound), setting: size}))
            error = refusal(folders[family])
            if size < 2**31 and setting in WITH_ANOTHER:
                assert WITH_ANOTHER[setting].format(size) in error
            elif size < 2**31:
                assert f"{setting} {size}, but the" in error
                assert "take config and weights from one checkpoint" in error
            else:
                assert "is above 2147483647" in error
        for value in WRONG:
            # As in transformers, 0 and the like mean the usual number.
            if not value and setting in ("num_decoder_layers", "n_inner"):
                continue
            path.write_text(json.dumps({**json.loads(sound), setting: value}))
            refusal(folders[family])
    finally:
        path.write_text(sound)
    find_checkpoint(folders[family])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("num_layers", "the tensors beside it are those of 1 layers encoder.block"),
        ("num_decoder_layers", "those of 1 layers decoder.block"),
        ("d_ff", "the largest tensor beside it has 1024 numbers"),
    ],
)
def test_what_the_tensors_hold_is_told(folders, setting, message):
    path = folders["t5"] / "config.json"
    sound = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(sound), setting: 1025}))
        assert message in refusal(folders["t5"])
    finally:
        path.write_text(sound)


@pytest.mark.parametrize("size", [2, 63, 1000])
def test_a_size_that_some_tensor_could_have_is_told_by_the_tensor(folders, size):
    path = folders["t5"] / "config.json"
    sound = path.read_text()
    try:
        path.write_text(json.dumps({**json.loads(sound), "d_ff": size}))
        assert "have another shape" in refusal(folders["t5"])
    finally:
        path.write_text(sound)


def test_weights_of_no_tensors_have_no_sizes(folders, tmp_path):
    shutil.copy(folders["t5"] / "config.json", tmp_path)
    safetensors.numpy.save_file({}, tmp_path / "model.safetensors")
    assert "the largest tensor beside it has 0 numbers" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("epsilon", "words"),
    [
        ("NaN", "NaN is no number of JSON"),
        ("Infinity", "Infinity is no number of JSON"),
        ("1e400", "1e400 is too large a number"),
        ("-1", "is no number from 0 to 1"),
        ("true", "is no number from 0 to 1"),
    ],
)
@pytest.mark.parametrize("family", ["t5", "gpt2"])
def test_a_norm_adds_a_small_number(folders, family, epsilon, words):
    path = folders[family] / "config.json"
    sound = path.read_text()
    try:
        settings = json.dumps({**json.loads(sound), "layer_norm_epsilon": "?"})
        path.write_text(settings.replace('"?"', epsilon))
        assert words in refusal(folders[family])
    finally:
        path.write_text(sound)


@pytest.fixture
def t5x(shared, tmp_path) -> Path:
    source = shared / "data" / "checkpoints" / "t5x_test_t5_1_1_tiny" / "checkpoint_3"
    shutil.copytree(source, tmp_path / "t5x")
    return tmp_path / "t5x"


def rewrite(t5x: Path, **facts) -> None:
    path = t5x / "target.token_embedder.embedding" / ".zarray"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_a_t5x_table_of_more_rows_than_its_files_is_refused(t5x):
    rewrite(t5x, shape=[10**9, 4])
    assert "has 8 files of the 244141 that token_embedder.embedding" in refusal(t5x)
    # One chunk for all of it, of which the files could not hold a tenth.
    rewrite(t5x, shape=[10**9, 4], chunks=[10**9, 4])
    assert "has 16000000000 bytes, but its files unpack to" in refusal(t5x)


def test_a_t5x_table_that_lost_a_chunk_is_refused(t5x):
    """It would be read as zeros."""
    (t5x / "target.token_embedder.embedding" / "3.0").unlink()
    assert "has 7 files of the 8 that token_embedder.embedding" in refusal(t5x)


def test_a_t5x_tensor_that_is_no_matrix_is_refused(t5x):
    rewrite(t5x, shape=[0, 4])
    assert "has shape (0, 4), where a T5 has a matrix" in refusal(t5x)
