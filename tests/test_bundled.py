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


def test_reviews_are_twenty_twenty_and_forty_and_no_two_alike():
    rows = {
        split: (Path(resolve("bundled:reviews")) / f"{split}.tsv").read_text()
        for split in ("train", "dev", "test")
    }
    found = {split: text.splitlines()[1:] for split, text in rows.items()}
    assert [len(lines) for lines in found.values()] == [20, 20, 40]
    for lines in found.values():
        assert sum(line.endswith("\t1") for line in lines) == len(lines) / 2
    everything = [line for lines in found.values() for line in lines]
    assert len(set(everything)) == 80


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
