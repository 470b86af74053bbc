"""An output file is refused before the work, if it cannot be or may not be written."""

from pathlib import Path

import pytest

from jaxprompt.config import Run
from jaxprompt.interop.folder import check_replaceable
from jaxprompt.runs.keep.output import check_output
from jaxprompt.runs.model_export import export_prefix
from jaxprompt.runs.transfer.bank_index import index_bank


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("overwrite", [True, False])
def test_a_link_is_no_output(tmp_path: Path, there: bool, overwrite: bool):
    target, link = tmp_path / "scores.json", tmp_path / "link.json"
    if there:
        target.write_text("mine")
    link.symlink_to(target)
    with pytest.raises(ValueError, match=r"link.json is a link to .*scores.json: name"):
        check_output(link, overwrite)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_is_no_output_folder(tmp_path: Path, there: bool):
    target, link = tmp_path / "adapter", tmp_path / "link"
    if there:
        target.mkdir()
    link.symlink_to(target)
    with pytest.raises(ValueError, match="link is no folder of files"):
        check_replaceable(link, ["prompt.npy"])


def test_an_output_has_a_name():
    with pytest.raises(ValueError, match="names no file: give it a name"):
        check_output(Path(""), overwrite=True)


@pytest.mark.parametrize("overwrite", [True, False])
def test_a_folder_is_no_output_file(tmp_path: Path, overwrite: bool):
    with pytest.raises(ValueError, match="is a folder, and a file is to be written"):
        check_output(tmp_path, overwrite)
    check_output(tmp_path, overwrite=True, folder=True)


def test_the_index_of_a_bank_is_no_folder(tmp_path: Path):
    folder = tmp_path / "bank.json"
    folder.mkdir()
    with pytest.raises(ValueError, match=r"bank.json is a folder, .* name one in it"):
        index_bank([], folder, overwrite=True)


def test_a_cartridge_is_no_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="is a folder, and a file is to be written"):
        export_prefix(Run(), tmp_path, tmp_path, form="cartridge", overwrite=True)
