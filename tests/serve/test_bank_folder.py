"""The folder of prompts as disks have it: what a server says, and what it keeps."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jaxprompt.serve.bank import Bank


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "bank"
    folder.mkdir()
    (folder / "mine.safetensors").touch()
    return folder


@pytest.fixture
def bank(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Bank:
    """A bank that reads no files: it takes each of the folder for a prompt."""

    def load(bank: Any, name: str, path: Path) -> None:
        del path
        bank._prompts = {**bank._prompts, name: SimpleNamespace(told=name)}

    monkeypatch.setattr(Bank, "_load_file", load)
    nothing: Any = None
    bank = Bank(nothing, nothing, nothing, nothing, nothing, folder=folder)
    assert bank.refresh() == ["loaded mine"]
    return bank


def test_prompts_outlive_a_folder_that_went_away(bank: Bank, folder: Path):
    shutil.move(folder, folder.parent / "away")
    (line,) = bank.refresh()
    assert line == (
        f"the folder of prompts {folder} cannot be read (No such file or directory): "
        "what was loaded of it stays"
    )
    assert bank.refresh() == []
    assert [*bank.prompts] == ["mine"]
    shutil.move(folder.parent / "away", folder)
    assert bank.refresh() == []
    (folder / "mine.safetensors").unlink()
    assert bank.refresh() == ["unloaded mine: its file is gone"]
    assert not bank.prompts


def test_a_link_is_left_out_with_a_word(bank: Bank, folder: Path):
    (folder / "other.safetensors").symlink_to(folder / "mine.safetensors")
    assert bank.refresh() == [
        "left out other.safetensors, for a link may lead out of the folder: put the "
        "files there"
    ]
    assert bank.refresh() == []
    assert [*bank.prompts] == ["mine"]
