"""A prompt file comes back bit for bit, explains itself, and is not mistaken."""

import dataclasses
import json
import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy
from safetensors import safe_open
from tiny import draw_prompt

from jaxprompt.models.load import with_fingerprint
from jaxprompt.prompts.file import load_prompt, load_start, save_prompt, write_prompt
from jaxprompt.prompts.prompt import make_deep, make_prompt
from jaxprompt.prompts.provenance import check_backbone

DETAILS = {"task": "sst2", "metric": "accuracy", "score": 91.5, "step": 7, "seed": 3}
HEADER = {"backbone": "t5", "revision": None, "fingerprint": "", "length": 3}


def write(path, rows=None, header=None, **entries):
    rows = np.zeros((3, 16), np.float32) if rows is None else rows
    metadata = {"jaxprompt": json.dumps({**HEADER, "width": 16, **(header or {})})}
    safetensors.numpy.save_file({"prompt": rows}, path, {**metadata, **entries})


@pytest.fixture
def path(tmp_path):
    return tmp_path / "prompt.safetensors"


def test_a_prompt_comes_back_with_its_provenance(tiny, path):
    prompt = draw_prompt(0)
    backbone = dataclasses.replace(tiny.backbone, name="google/t5", revision="abc")
    save_prompt(path, prompt, backbone, init="text", config="a = 1\n", **DETAILS)
    found, provenance = load_prompt(str(path))
    np.testing.assert_array_equal(found.rows, prompt.rows)
    assert (provenance.backbone, provenance.revision) == ("google/t5", "abc")
    assert provenance.fingerprint == tiny.backbone.fingerprint != ""
    assert (provenance.length, provenance.width) == (3, 16)
    assert DETAILS.items() <= dataclasses.asdict(provenance).items()
    assert (provenance.init, provenance.config) == ("text", "a = 1\n")
    assert {"jaxprompt", "jax", "optax"} <= provenance.versions.keys()


def test_equal_prompts_give_equal_bytes_and_no_other_file(tiny, path, tmp_path):
    contents = set()
    for _ in range(9):
        save_prompt(path, draw_prompt(0), tiny.backbone, **DETAILS)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    # Any reader of safetensors finds the rows as they are.
    tensors = safetensors.numpy.load_file(path)
    np.testing.assert_array_equal(tensors["prompt/rows"], draw_prompt(0).rows[0])


def test_the_start_comes_back_beside_the_prompt(tiny, path):
    prompt, start = draw_prompt(0), draw_prompt(1)
    contents = set()
    for _ in range(9):
        save_prompt(path, prompt, tiny.backbone, start=start, **DETAILS)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    found, provenance = load_prompt(path)
    np.testing.assert_array_equal(found.rows, prompt.rows)
    np.testing.assert_array_equal(load_start(path).rows, start.rows)
    tensors = safetensors.numpy.load_file(path)
    assert tensors.keys() == {"prompt/rows", "start/rows"}
    assert tensors["start/rows"].dtype == np.float32
    # With the same provenance, it is the same file.
    write_prompt(path, prompt, provenance, start=start)
    assert contents == {path.read_bytes()}


def test_a_file_without_a_start_says_so(tiny, path):
    save_prompt(path, draw_prompt(0), tiny.backbone)
    assert load_start(path) is None
    # As the first files were: a header of fewer fields.
    write(path)
    assert load_start(path) is None
    assert load_prompt(path)[1].source == ""


def test_only_the_start_of_this_prompt_is_saved_and_read(tiny, path):
    def save(start):
        save_prompt(path, draw_prompt(0), tiny.backbone, start=start)

    with pytest.raises(ValueError, match=r"start \[2, 16\] != prompt \[3, 16\]"):
        save(draw_prompt(0, length=2))
    with pytest.raises(ValueError, match="holds one start, but this bank has 2"):
        save(draw_prompt(0, members=2))
    with pytest.raises(ValueError, match="the start holds numbers that are not finite"):
        save(make_prompt(jnp.full((3, 16), jnp.inf)))
    assert not path.exists()

    def damage(start):
        tensors = {"prompt": np.zeros((3, 16), np.float32), "start": start}
        header = {"jaxprompt": json.dumps({**HEADER, "width": 16})}
        safetensors.numpy.save_file(tensors, path, header)

    damage(np.zeros((2, 16), np.float32))
    with pytest.raises(
        ValueError, match=r"start is \[2, 16\], but its header says \[3"
    ):
        load_start(path)
    damage(np.zeros((3, 16), np.float16))
    with pytest.raises(ValueError, match=r"the start is F16 .* must be finite"):
        load_start(path)
    with pytest.raises(FileNotFoundError, match="no prompt file at"):
        load_start(path.parent / "absent")


def test_only_a_sound_prompt_of_the_model_is_saved(tiny, path):
    with pytest.raises(ValueError, match="one prompt, but this bank has 2"):
        save_prompt(path, draw_prompt(0, members=2), tiny.backbone)
    with pytest.raises(ValueError, match="prompt width 8 != model width 16"):
        save_prompt(path, make_prompt(jnp.ones((3, 8))), tiny.backbone)
    with pytest.raises(ValueError, match="not finite"):
        save_prompt(path, make_prompt(jnp.full((3, 16), jnp.nan)), tiny.backbone)
    assert not path.exists()
    with pytest.raises(FileNotFoundError, match=r"no folder .*nowhere"):
        save_prompt(path.parent / "nowhere" / "p", draw_prompt(0), tiny.backbone)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no prompt file at .*absent"):
        load_prompt(tmp_path / "absent")
    with pytest.raises(FileNotFoundError, match="no prompt file at"):
        load_prompt(tmp_path)


@pytest.mark.parametrize("size", [0, 5, 40, -1])
def test_a_cut_file_is_refused(tiny, path, size):
    save_prompt(path, draw_prompt(0), tiny.backbone)
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_prompt(path)


def test_a_pickle_is_refused_unread(path):
    path.write_bytes(pickle.dumps({"prompt": np.zeros((3, 16), np.float32)}))
    with pytest.raises(ValueError, match="not a whole safetensors file"):
        load_prompt(path)


def test_tensors_of_other_programs_are_refused(path):
    safetensors.numpy.save_file({"weight": np.zeros((3, 16), np.float32)}, path)
    with pytest.raises(ValueError, match=r"\['weight'\] and no jaxprompt header"):
        load_prompt(path)
    safetensors.numpy.save_file({"prompt": np.zeros((3, 16), np.float32)}, path)
    with pytest.raises(ValueError, match=r"\['prompt'\] and no jaxprompt header"):
        load_prompt(path)


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros(16, np.float32),
        np.zeros((3, 16), np.float16),
        np.full((3, 16), np.inf, np.float32),
        np.zeros((0, 16), np.float32),
        np.zeros((3, 0), np.float32),
    ],
)
def test_damaged_rows_are_refused(path, rows):
    write(path, rows)
    with pytest.raises(ValueError, match="must be finite float32"):
        load_prompt(path)


def test_a_prompt_of_no_rows_is_not_written(tiny, path):
    empty = make_prompt(jnp.zeros((0, tiny.backbone.width)))
    with pytest.raises(ValueError, match=r"the prompt is \[0, 16\], of no rows"):
        save_prompt(path, empty, tiny.backbone)
    assert not path.exists()


def test_a_damaged_header_is_refused(path):
    write(path, header={"width": 8})
    with pytest.raises(ValueError, match=r"\[3, 16\], but its header says \[3, 8\]"):
        load_prompt(path)
    write(path, header={"invented": 1})
    with pytest.raises(ValueError, match="written by a newer version"):
        load_prompt(path)
    for text in ("{", "[]", "null", "3"):
        write(path, jaxprompt=text)
        with pytest.raises(ValueError, match=r"header (is not|holds no) JSON"):
            load_prompt(path)


def test_another_backbone_is_refused_unless_wanted(tiny, path):
    save_prompt(path, draw_prompt(0), tiny.backbone)
    _, provenance = load_prompt(path)
    check_backbone(provenance, tiny.backbone)
    norm = tiny.model["decoder"]["final_norm"]
    decoder = {**tiny.model["decoder"], "final_norm": norm + 0.001}
    other = with_fingerprint(tiny.backbone, {**tiny.model, "decoder": decoder})
    with pytest.raises(ValueError, match=rf"fingerprint {provenance.fingerprint[:12]}"):
        check_backbone(provenance, other)
    check_backbone(provenance, other, override=True)
    wide = dataclasses.replace(provenance, width=32)
    with pytest.raises(ValueError, match="prompt width 32 != model width 16"):
        check_backbone(wide, tiny.backbone, override=True)


def test_a_prompt_of_unknown_weights_is_refused_unless_wanted(tiny, path):
    write(path)
    _, provenance = load_prompt(path)
    with pytest.raises(ValueError, match=r"trained on t5, .* it cannot be verified"):
        check_backbone(provenance, tiny.backbone)
    unknown = dataclasses.replace(tiny.backbone, fingerprint="")
    with pytest.raises(ValueError, match="say --another_backbone if it is"):
        check_backbone(provenance, unknown)
    check_backbone(provenance, tiny.backbone, override=True)
    wide = dataclasses.replace(provenance, width=32)
    with pytest.raises(ValueError, match="prompt width 32 != model width 16"):
        check_backbone(wide, tiny.backbone, override=True)


def test_a_file_of_version_1_is_read(tiny):
    """Its bytes are those that the first released code wrote."""
    path = Path(__file__).parents[1] / "golden" / "prompt_v1.safetensors"
    prompt, provenance = load_prompt(path)
    rows = np.arange(48, dtype=np.float32).reshape(3, 16) / 8
    np.testing.assert_array_equal(prompt.rows[0], rows)
    np.testing.assert_array_equal(load_start(path).rows[0], -rows)
    assert (prompt.deep, provenance.sites, provenance.answering) == ({}, {}, {})
    assert (provenance.backbone, provenance.score) == ("google/t5", 91.5)
    assert (provenance.config, provenance.head) == ("a = 1\n", "words")
    check_backbone(provenance, tiny.backbone)


def draw_deep(seed, length=4, used=(True, False)):
    keys, values = np.random.default_rng(seed).normal(size=(2, 2, length, 8, 2))
    gate = np.random.default_rng(seed).normal(size=(2, 8))
    gated = make_deep(values, keys, gate=gate, in_front=True)
    return {"cross": make_deep(keys, values, used), "decoder": gated}


@pytest.mark.parametrize("rows", [0, 3])
def test_keys_and_values_come_back_with_their_layers(tiny, path, rows):
    soft = draw_prompt(0).rows[0, :rows]
    prompt, start = make_prompt(soft, draw_deep(1)), make_prompt(soft, draw_deep(2))
    contents = set()
    for _ in range(3):
        save_prompt(path, prompt, tiny.backbone, start=start, **DETAILS)
        contents.add(path.read_bytes())
    assert len(contents) == 1
    found, provenance = load_prompt(path)
    for one, expected in ((found, prompt), (load_start(path), start)):
        assert jax.tree.structure(one) == jax.tree.structure(expected)
        for leaf, other in zip(*map(jax.tree.leaves, (one, expected)), strict=True):
            np.testing.assert_array_equal(leaf, other)
    assert (provenance.length, provenance.width) == (rows, 16)
    assert provenance.sites["cross"] == {
        "layers": 2,
        "length": 4,
        "kv_heads": 8,
        "head_width": 2,
        "used": [0],
        "in_front": False,
        "gated": False,
    }
    assert provenance.sites["decoder"]["in_front"]
    assert safetensors.numpy.load_file(path)["prompt/deep/cross/keys"].shape[0] == 2


def test_a_deep_prompt_that_is_not_what_its_header_says_is_refused(tiny, path):
    prompt = make_prompt(draw_prompt(0).rows[0], draw_deep(1))
    start = make_prompt(draw_prompt(0).rows[0], draw_deep(1, length=5))
    with pytest.raises(ValueError, match=r"start .* 5 keys .* != prompt .* 4 keys "):
        save_prompt(path, prompt, tiny.backbone, start=start)
    save_prompt(path, prompt, tiny.backbone)
    tensors = safetensors.numpy.load_file(path)
    with safe_open(path, framework="numpy") as file:
        header = json.loads(file.metadata()["jaxprompt"])

    def damage(tensors, **fields):
        text = json.dumps({**header, **fields})
        safetensors.numpy.save_file(tensors, path, {"jaxprompt": text})

    for kept in ("prompt/rows", "prompt/deep/cross/keys", "prompt/deep/decoder/values"):
        damage({name: array for name, array in tensors.items() if name != kept})
        with pytest.raises(ValueError, match="header says"):
            load_prompt(path)
    for sites in ({}, {"cross": {}}, {"cross": {"used": 3}}, {"elsewhere": {}}):
        damage(tensors, sites=sites)
        with pytest.raises(ValueError, match=r"keys and values of the prompt are not"):
            load_prompt(path)
    damage({**tensors, "prompt/deep/cross/keys": np.full((2, 4, 8, 2), np.nan, "f4")})
    with pytest.raises(ValueError, match=r"cross/keys is .* finite float32 \[N, P, G"):
        load_prompt(path)
    damage(tensors, version=3)
    with pytest.raises(
        ValueError, match=r"version 3, and this program reads up to .*2"
    ):
        load_prompt(path)
