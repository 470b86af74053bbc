"""A checkpoint's fingerprint: every weight counts, the way it is stored does not."""

import hashlib
import os
import shutil
import time
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy
from gpt2_models import TINY, draw_params

from jaxprompt.models.decoder.model import Decoder
from jaxprompt.models.load import find_checkpoint, load, open_backbone, with_fingerprint
from jaxprompt.models.weights.save import save
from jaxprompt.prompts.file import load_prompt, save_prompt
from jaxprompt.prompts.prompt import make_prompt
from jaxprompt.prompts.provenance import check_backbone

FAMILIES = ("t5", "gpt2")
ATTENTION = {"t5": "SelfAttention.q", "gpt2": "attn.c_attn"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory, tiny) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    save(folder / "t5", tiny.backbone, tiny.model)
    save(folder / "gpt2", Decoder(TINY), draw_params(TINY))
    return {family: folder / family for family in FAMILIES}


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """Where fingerprints are kept, in a cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxprompt" / "fingerprints"


def read(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def copy_with(folder, tensors, to):
    """Copies a model with other tensors."""
    to.mkdir(exist_ok=True)
    shutil.copy(folder / "config.json", to)
    safetensors.numpy.save_file(tensors, to / "model.safetensors")
    return to


def fingerprint_of(folder):
    return open_backbone(find_checkpoint(folder)).fingerprint


def let_settle(folder):
    """Makes a model's file look as if it had been there for a minute."""
    path, then = folder / "model.safetensors", time.time() - 60
    os.utime(path, (then, then))
    time.sleep(max(0.0, path.stat().st_ctime + 2.05 - time.time()))


@pytest.mark.parametrize("family", FAMILIES)
def test_every_tensor_of_a_file_counts(folders, tmp_path, family):
    folder = folders[family]
    original, seen = read(folder), {fingerprint_of(folder)}
    for name, tensor in original.items():
        changed = tensor.copy()
        changed.flat[-1] += 1
        copy_with(folder, {**original, name: changed}, tmp_path / "changed")
        seen.add(fingerprint_of(tmp_path / "changed"))
    assert len(seen) == 1 + len(original)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_prompt_is_refused_by_a_model_with_other_attention(folders, tmp_path, family):
    backbone, _ = load(folders[family])
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, make_prompt(np.zeros((2, backbone.width), "f4")), backbone)
    _, provenance = load_prompt(path)
    assert check_backbone(provenance, backbone) is None
    tensors = {
        name: tensor * (3 if ATTENTION[family] in name else 1)
        for name, tensor in read(folders[family]).items()
    }
    other, _ = load(copy_with(folders[family], tensors, tmp_path / "tripled"))
    message = f"trained on {family} .fingerprint 2:[0-9a-f]{{10}}., but .* tripled"
    with pytest.raises(ValueError, match=message):
        check_backbone(provenance, other)


@pytest.mark.parametrize("family", FAMILIES)
def test_copies_of_the_same_numbers_agree(folders, tmp_path, family):
    folder = folders[family]
    rounded = {name: x.astype(ml_dtypes.bfloat16) for name, x in read(folder).items()}
    exact = {name: x.astype(np.float32) for name, x in rounded.items()}
    half = fingerprint_of(copy_with(folder, rounded, tmp_path / "half"))
    assert half == fingerprint_of(copy_with(folder, exact, tmp_path / "exact"))
    assert half != fingerprint_of(folder)
    for options in ({"dtype": "bfloat16"}, {"quantise": "int8"}):
        backbone, _ = load(folder, **options)
        assert backbone.fingerprint == fingerprint_of(folder)


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_in_memory_and_on_disk_agree(folders, family):
    backbone, params = load(folders[family])
    there = with_fingerprint(backbone, params)
    assert there.fingerprint == backbone.fingerprint
    assert there.first_fingerprint == backbone.first_fingerprint


def test_it_is_what_the_docs_say(folders):
    """Computed anew from the tensors of the file, in PyTorch's names and layout."""
    tensors, found = read(folders["gpt2"]), {}
    for ours, theirs, axis in (
        ("embedding", "wte.weight", None),
        ("positions", "wpe.weight", None),
        ("final_norm/scale", "ln_f.weight", None),
        ("final_norm/bias", "ln_f.bias", None),
        ("layers/attention_norm/scale", "ln_1.weight", 0),
        ("layers/attention_norm/bias", "ln_1.bias", 0),
        ("layers/ffn_norm/scale", "ln_2.weight", 0),
        ("layers/ffn_norm/bias", "ln_2.bias", 0),
        ("layers/attention/query", "attn.c_attn.weight", 0),
        ("layers/attention/key", "attn.c_attn.weight", 1),
        ("layers/attention/value", "attn.c_attn.weight", 2),
        ("layers/attention/query_bias", "attn.c_attn.bias", 0),
        ("layers/attention/key_bias", "attn.c_attn.bias", 1),
        ("layers/attention/value_bias", "attn.c_attn.bias", 2),
        ("layers/attention/out", "attn.c_proj.weight", 0),
        ("layers/attention/out_bias", "attn.c_proj.bias", 0),
        ("layers/ffn/up", "mlp.c_fc.weight", 0),
        ("layers/ffn/up_bias", "mlp.c_fc.bias", 0),
        ("layers/ffn/down", "mlp.c_proj.weight", 0),
        ("layers/ffn/down_bias", "mlp.c_proj.bias", 0),
    ):
        if axis is None:
            found[ours] = tensors[f"transformer.{theirs}"]
            continue
        blocks = 3 if "c_attn" in theirs else 1
        layers = [
            np.split(tensors[f"transformer.h.{n}.{theirs}"], blocks, axis=-1)[axis]
            for n in range(TINY.layers)
        ]
        found[ours] = np.stack(layers)
    lines = "".join(
        f"{path} {','.join(map(str, x.shape))} "
        f"{hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()}\n"
        for path, x in sorted(found.items())
    )
    expected = "2:" + hashlib.sha256(lines.encode()).hexdigest()
    assert fingerprint_of(folders["gpt2"]) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_fingerprint_of_version_1_vouches_for_norms_only(folders, tmp_path, family):
    backbone, _ = load(folders[family])
    path = tmp_path / "prompt.safetensors"
    save_prompt(path, make_prompt(np.zeros((2, backbone.width), "f4")), backbone)
    _, provenance = load_prompt(path)
    old = type(provenance)(
        **{**vars(provenance), "fingerprint": backbone.first_fingerprint}
    )
    note = check_backbone(old, backbone)
    assert note is not None
    assert "version 1, which vouches for the embeddings and norms of" in note
    norm = {"t5": "decoder.final_layer_norm.weight", "gpt2": "transformer.ln_f.bias"}
    tensors = read(folders[family])
    tensors[norm[family]] = tensors[norm[family]] + 1
    other, _ = load(copy_with(folders[family], tensors, tmp_path / "moved"))
    with pytest.raises(ValueError, match=f"fingerprint {old.fingerprint[:12]}"):
        check_backbone(old, other)


def test_version_1_of_the_bundled_model_is_still_what_it_was():
    found = open_backbone(find_checkpoint("bundled:nano")).first_fingerprint
    assert found == "e6ba6058c378170c54ab8068b6245f1f88886ee044d31bd345a0d245ce1e4ae7"


def test_files_that_changed_are_read_again_even_with_size_and_time_restored(
    folders, tmp_path, cache
):
    folder = copy_with(folders["t5"], read(folders["t5"]), tmp_path / "model")
    expected = fingerprint_of(folder)
    assert not cache.exists()  # The file is new: it may change within a clock's tick.
    let_settle(folder)
    assert fingerprint_of(folder) == expected
    assert len(list(cache.iterdir())) == 1
    path = folder / "model.safetensors"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert fingerprint_of(folder) != expected


@pytest.mark.parametrize("damage", [b"", b"\xff\xfe", b"0", b"{}"])
def test_a_damaged_cache_is_read_past_and_written_again(tmp_path, cache, damage):
    """The bundled model has been there for long, unless it was installed just now."""
    checkpoint = find_checkpoint("bundled:nano")
    time.sleep(
        max(0.0, checkpoint.tensors.files[0].stat().st_ctime + 2.05 - time.time())
    )
    expected = open_backbone(checkpoint).fingerprint
    (kept,) = cache.iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(whole.replace(whole[2:4], damage))
    assert open_backbone(checkpoint).fingerprint == expected
    assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_changes_nothing(cache):
    cache.parent.mkdir(parents=True)
    cache.write_text("in the way")
    found = open_backbone(find_checkpoint("bundled:nano")).fingerprint
    assert found.startswith("2:")
