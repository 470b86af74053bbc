"""`load` and `save`: names and folders in, one frozen model out, and back."""

import dataclasses
import shlex
import shutil
import subprocess
import sys

import huggingface_hub.constants
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxprompt.models.load import find_checkpoint, load, with_fingerprint
from jaxprompt.models.t5.model import T5
from jaxprompt.models.weights.save import save
from jaxprompt.sharding import make_mesh

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def assert_same_tree(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """An offline Hub cache that holds owner/tiny at one commit, tagged main."""
    cache = tmp_path / "hub"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    repository = cache / "models--owner--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    snapshot = repository / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    return snapshot


def test_a_hub_name_loads_from_the_cache_and_keeps_its_commit(golden, hub):
    folder = golden("t5_1_1").folder
    shutil.copytree(folder, hub, dirs_exist_ok=True)
    (hub / "spiece.model").write_bytes(b"pieces")
    expected, params = load(folder)
    for revision in (None, "main", COMMIT):
        backbone, found = load("owner/tiny", revision=revision)
        assert (backbone.name, backbone.revision) == ("owner/tiny", COMMIT)
        assert backbone.vocabulary == str(hub / "spiece.model")
        assert backbone.fingerprint == expected.fingerprint
        assert_same_tree(found, params)
    assert (expected.name, expected.revision) == ("t5_1_1", None)


def test_a_hub_name_without_safetensors_says_how_to_convert_that_commit(golden, hub):
    shutil.copy(golden("t5_1_1").folder / "config.json", hub)
    with pytest.raises(FileNotFoundError, match=f"'owner/tiny', revision='{COMMIT}'"):
        load("owner/tiny")


def test_neither_a_folder_nor_on_the_hub(tmp_path, hub):
    message = r"no model folder at owner/none, and 'owner/none' could not be had"
    with pytest.raises(FileNotFoundError, match=message):
        load("owner/none")
    with pytest.raises(FileNotFoundError, match="no model folder at owner/tiny"):
        load("owner/tiny", revision="v2")
    with pytest.raises(FileNotFoundError, match="could not be had from the Hub"):
        load("not a name at all")
    with pytest.raises(FileNotFoundError, match=f"no model folder at {tmp_path}/none"):
        load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match=r"no config\.json in .*: give a"):
        load(tmp_path)


def test_a_folder_has_no_revisions(golden):
    with pytest.raises(ValueError, match=r"revision 'v1' given, but .* is a folder"):
        load(golden("mt5").folder, revision="v1")


def test_a_vocabulary_is_found_or_given(golden, tmp_path):
    folder = golden("t5_1_1").folder
    assert find_checkpoint(folder).vocabulary is None
    (folder / "spiece.model").write_bytes(b"pieces")
    assert find_checkpoint(folder).vocabulary == str(folder / "spiece.model")
    (folder / "tokenizer.json").write_text("{}")
    assert find_checkpoint(folder).vocabulary == str(folder)
    given = find_checkpoint(folder, vocabulary=str(tmp_path))
    assert given.vocabulary == str(tmp_path)
    with pytest.raises(FileNotFoundError, match="no vocabulary at nowhere"):
        find_checkpoint(folder, vocabulary="nowhere")


@pytest.mark.parametrize(("data", "model"), [(1, 8), (2, 4), (8, 1)])
def test_a_model_loaded_onto_a_mesh_scores_as_on_one_device(
    example, tmp_path, data, model
):
    save(tmp_path / "t5", example.backbone, example.params)
    mesh = make_mesh(data, model)
    backbone, params = load(tmp_path / "t5", mesh=mesh)
    assert_same_tree(params, example.params)
    shards = params["decoder"]["layers"]["ffn"]["down"].addressable_shards
    assert shards[0].data.shape == (2, 48 // model, 32)

    rows = jax.NamedSharding(mesh, jax.P("data"))
    tokens = (example.source, example.target)
    tokens = jax.tree.map(lambda array: jnp.repeat(array, 4, axis=0), tokens)
    batch = jax.device_put(tokens, rows)
    found = jax.jit(backbone.logits)(params, *batch)
    expected = np.repeat(example.expected, 4, axis=0)
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_loading_in_bfloat16_keeps_the_fingerprint(golden):
    folder = golden("t5_1_1").folder
    expected, exact = load(folder)
    backbone, params = load(folder, dtype="bfloat16")
    assert backbone.dtype == "bfloat16"
    assert backbone.fingerprint == expected.fingerprint
    assert with_fingerprint(expected, exact).fingerprint == expected.fingerprint
    cast = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), exact)
    assert_same_tree(params, cast)


@pytest.mark.parametrize("variant", ["t5_1_0", "t5_1_1", "t5_1_1_tied", "mt5"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_saving_and_loading_is_exact(golden, tmp_path, variant, dtype):
    backbone, params = load(golden(variant).folder, dtype=dtype)
    pieces = tmp_path / "pieces"
    pieces.write_bytes(b"pieces")
    backbone = dataclasses.replace(backbone, vocabulary=str(pieces))
    copy = tmp_path / "models" / "copy"
    save(copy, backbone, params)
    again, found = load(copy, dtype=dtype)
    assert again.config == backbone.config
    assert (copy / "spiece.model").read_bytes() == b"pieces"
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]
    assert_same_tree(found, params)


def test_saving_overwrites_nothing_and_leaves_no_half(golden, tmp_path):
    backbone, params = load(golden("mt5").folder)
    target = tmp_path / "new" / "copy"
    with pytest.raises(ValueError, match="params do not fit mt5: see embedding"):
        save(target, backbone, {**params, "embedding": params["embedding"][:-1]})
    unwritable = dataclasses.replace(backbone.config, scaled_logits=object())
    with pytest.raises(TypeError):
        save(target, dataclasses.replace(backbone, config=unwritable), params)
    assert list(target.parent.iterdir()) == []
    target.mkdir()
    with pytest.raises(FileExistsError, match="copy is there already"):
        save(target, backbone, params)


def test_wrong_options_are_refused(golden):
    with pytest.raises(ValueError, match="dtype 'float16' is none of float32"):
        load(golden("mt5").folder, dtype="float16")


def test_a_backbone_is_hashable_and_static(example):
    same = T5(example.backbone.config)
    assert hash(same) == hash(example.backbone)
    assert same == example.backbone


def test_a_legacy_pickle_is_refused_and_its_command_converts_it(shared, tmp_path):
    folder = shared / "data" / "checkpoints" / "hf_tiny-random-t5"
    with pytest.raises(FileNotFoundError, match="is never read here") as refusal:
        load(folder)
    pytest.importorskip("torch")
    command = str(refusal.value).split("installed: ")[1]
    words = [sys.executable, *shlex.split(command)[1:]]
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, timeout=300)
    backbone, _ = load(tmp_path / "hf_tiny-random-t5-safe")
    assert backbone.config.scaled_logits
    assert backbone.config.tied
    assert backbone.vocabulary is not None
