"""A model in several GGUF files, as the library `gguf` splits it, is the same model."""

import shutil
from pathlib import Path

import gguf
import jax
import numpy as np
import pytest
from gguf_files import SIZES, draw_tensors, write_model, write_parts

from jaxprompt.models.load import find_checkpoint, load


@pytest.fixture
def parts(tmp_path: Path) -> list[Path]:
    return write_parts(tmp_path / "model.gguf")


def test_it_is_the_model_of_one_file(parts: list[Path], tmp_path: Path):
    assert [part.name for part in parts] == [
        f"model-0000{number}-of-00003.gguf" for number in (1, 2, 3)
    ]
    settings = {**SIZES, "model_type": "llama"}
    whole = tmp_path / "whole.gguf"
    write_model(whole, settings, draw_tensors(settings), architecture="llama")
    backbone, params = load(parts[0])
    expected_backbone, expected = load(whole)
    assert backbone.config == expected_backbone.config
    assert backbone.fingerprint == expected_backbone.fingerprint
    jax.tree.map(np.testing.assert_array_equal, params, expected)


def refused(path: Path, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match) as found:
        find_checkpoint(path)
    assert "\n" not in str(found.value)


def test_a_part_that_is_not_the_first_names_it(parts: list[Path]):
    refused(
        parts[1],
        ValueError,
        r"is not the first of the 3 files of a model: give model-00001-of-00003.gguf",
    )


def test_an_absent_part_is_named(parts: list[Path]):
    parts[2].unlink()
    refused(
        parts[0],
        FileNotFoundError,
        r"beside it are no model-00003-of-00003.gguf: fetch",
    )


def test_a_renamed_first_part_is_told_how_it_is_called(parts: list[Path]):
    renamed = parts[0].rename(parts[0].with_name("mine.gguf"))
    refused(renamed, ValueError, r"call it by its own name, as model-00001-of-00003")


def test_a_part_in_the_place_of_another_is_refused(parts: list[Path]):
    shutil.copy(parts[1], parts[2])
    refused(
        parts[0],
        ValueError,
        r"00003-of-00003.gguf says that it is part 2 of 3, .*again",
    )


def test_a_part_of_another_model_is_refused(parts: list[Path]):
    writer = gguf.GGUFWriter(str(parts[2]), "llama")
    writer.add_uint16("split.no", 2)
    writer.add_uint16("split.count", 3)
    writer.add_tensor("blk.9.attn_norm.weight", np.ones(4, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    refused(parts[0], ValueError, r"the model has 20 tensors, but its 3 files have 17")
