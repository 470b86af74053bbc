"""A write that fails leaves what was there."""

import os

import pytest

from jaxprompt.files.atomic import write_atomically, write_folder


@pytest.fixture(params=[0o022, 0o027, 0o077, 0o002], ids=oct)
def umask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path):
    return path.stat().st_mode & 0o777


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_has_the_mode_that_the_umask_gives(tmp_path, umask):
    path = tmp_path / "file"
    write_atomically(path, b"first")
    assert mode(path) == 0o666 & ~umask


def test_a_link_is_replaced_and_not_written_through(tmp_path):
    other, path = tmp_path / "other", tmp_path / "file"
    other.write_bytes(b"mine")
    path.symlink_to(other)
    write_atomically(path, b"new")
    assert (other.read_bytes(), path.read_bytes()) == (b"mine", b"new")
    assert not path.is_symlink()


def test_a_folder_has_the_modes_that_the_umask_gives(tmp_path, umask):
    with write_folder(tmp_path / "folder") as scratch:
        (scratch / "below").mkdir(0o700)
        (scratch / "below" / "file").touch(0o600)
    made = {str(path.relative_to(tmp_path)): mode(path) for path in tmp_path.rglob("*")}
    assert made == {
        "folder": 0o777 & ~umask,
        "folder/below": 0o777 & ~umask,
        "folder/below/file": 0o666 & ~umask,
    }


def test_a_folder_that_cannot_be_filled_leaves_the_old_one_and_no_other(tmp_path):
    (tmp_path / "folder").mkdir()

    def fill():
        with write_folder(tmp_path / "folder") as scratch:
            (scratch / "file").touch()
            raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space"):
        fill()
    assert list(tmp_path.rglob("*")) == [tmp_path / "folder"]


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, b"first")

    def full(*_):
        raise OSError("no space left on device")

    for call in ("fsync", "replace"):
        with monkeypatch.context() as patch:
            patch.setattr(os, call, full)
            with pytest.raises(OSError, match="no space"):
                write_atomically(path, b"second")
        assert path.read_bytes() == b"first"
        assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no folder .*absent for file"):
        write_atomically(tmp_path / "absent" / "file", b"")


def test_a_folder_is_named_and_nothing_is_left_beside_it(tmp_path):
    (tmp_path / "made").mkdir()
    with pytest.raises(IsADirectoryError, match="made is a folder, and a file is to"):
        write_atomically(tmp_path / "made", b"")
    assert [*tmp_path.iterdir()] == [tmp_path / "made"]
