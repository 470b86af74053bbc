"""A write that fails leaves what was there."""

import os

import pytest

from jaxprompt.atomic import write_atomically


def test_a_file_is_written_and_replaced(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"first")
    write_atomically(path, b"second")
    assert path.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o644


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
