"""An output file is refused before the work, if it cannot be or may not be written."""

from pathlib import Path

import pytest

from jaxprompt.interop.folder import check_replaceable
from jaxprompt.runs.keep.output import check_output


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
