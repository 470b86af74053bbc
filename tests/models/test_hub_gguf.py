"""A GGUF file by its name on the Hub: fetched alone, and named with its commit."""

import hub_server
import pytest
from gguf_files import SIZES, draw_tensors, write_model, write_parts

from jaxprompt.models.load import find_checkpoint

REPO = "me/tiny-GGUF"


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with hub_server.serve(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def file(tmp_path):
    settings = {**SIZES, "model_type": "llama"}
    path = tmp_path / "local.gguf"
    tensors = draw_tensors(settings)
    write_model(path, settings, tensors, architecture="llama")
    return path


def test_one_file_is_fetched_and_is_the_same_model(hub, file):
    files = {"tiny-q8.gguf": file.read_bytes(), "other.gguf": b"x" * 100}
    commit = hub.make(REPO, files)
    found = find_checkpoint(f"{REPO}/tiny-q8.gguf")
    assert (found.name, found.revision) == (f"{REPO}/tiny-q8.gguf", commit)
    assert found.config == find_checkpoint(file).config
    assert not hub.asked("other.gguf")


def test_a_file_in_a_folder_of_the_repository_and_a_revision(hub, file):
    old = hub.make(REPO, {"q8/tiny.gguf": file.read_bytes()})
    hub.repositories[REPO].commit({"README.md": b""})
    found = find_checkpoint(f"{REPO}/q8/tiny.gguf", revision=old)
    assert found.revision == old
    with pytest.raises(FileNotFoundError, match=r"'q8/tiny.gguf' of 'me/tiny-GGUF'"):
        find_checkpoint(f"{REPO}/q8/tiny.gguf")


def test_all_files_of_a_model_are_fetched_by_the_name_of_the_first(hub, tmp_path):
    parts = write_parts(tmp_path / "big.gguf")
    contents = {f"q8/{part.name}": part.read_bytes() for part in parts}
    commit = hub.make(REPO, {**contents, "other.gguf": b"x"})
    name = f"{REPO}/q8/{parts[0].name}"
    found = find_checkpoint(name)
    assert (found.name, found.revision) == (name, commit)
    assert [file.name for file in found.tensors.files] == [x.name for x in parts]
    assert not hub.asked("other.gguf")


def test_a_repository_of_gguf_files_alone_asks_for_one_of_them(hub, file):
    hub.make(REPO, {"b.gguf": file.read_bytes(), "a.gguf": b"x", "README.md": b""})
    message = rf"name one of them, a\.gguf, b\.gguf, as {REPO}/a\.gguf"
    with pytest.raises(ValueError, match=message):
        find_checkpoint(REPO)


def test_a_local_name_is_never_asked_of_the_hub(hub, tmp_path):
    for name in ("./a/b.gguf", str(tmp_path / "b.gguf"), "b.gguf"):
        with pytest.raises(FileNotFoundError, match=r"b\.gguf"):
            find_checkpoint(name)
    assert hub.log == []
