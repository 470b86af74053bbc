"""Names of what comes with the package."""

from pathlib import Path

import pytest

from jaxprompt.bundled import resolve
from jaxprompt.models.load import find_checkpoint


def test_a_bundled_name_is_a_folder_of_the_package():
    folder = Path(resolve("bundled:mini/SST-2"))
    assert folder.is_absolute()
    assert folder.parts[-4:] == ("jaxprompt", "bundled", "mini", "SST-2")
    assert (folder / "train.tsv").is_file()


@pytest.mark.parametrize("name", ["google/t5-v1_1-small", "glue_data", "./bundled"])
def test_other_names_stay_as_they_are(name: str):
    assert resolve(name) == name
    assert resolve(Path("a/b")) == str(Path("a/b"))


@pytest.mark.parametrize(
    "name", ["bundled:", "bundled:minii", "bundled:../data", "bundled:/etc"]
)
def test_an_unknown_name_lists_what_there_is(name: str):
    message = rf"nothing bundled is called '{name}': there are .*bundled:mini"
    with pytest.raises(FileNotFoundError, match=message):
        resolve(name)
    with pytest.raises(FileNotFoundError, match=message):
        find_checkpoint(name)
