"""An exported folder is whole or not there, and replaces nothing of others."""

from pathlib import Path

import pytest

from jaxprompt.interop.folder import new_folder


def fill(path: Path, text: str) -> None:
    with new_folder(path, {"a", "b"}) as folder:
        (folder / "a").write_text(text)
        (folder / "a").chmod(0o600)
        assert not path.exists() or (path / "a").read_text() != text
        (folder / "b").write_text(text)


def test_it_appears_whole_and_is_replaced_whole(tmp_path):
    made = tmp_path / "made"
    fill(made, "old")
    assert made.stat().st_mode & 0o777 == 0o755
    assert (made / "a").stat().st_mode & 0o777 == 0o644
    (made / "b").unlink()
    fill(made, "new")
    assert {path.name: path.read_text() for path in made.iterdir()} == {
        "a": "new",
        "b": "new",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_what_breaks_off_leaves_what_was_there(tmp_path):
    made = tmp_path / "made"
    fill(made, "old")

    def break_off() -> None:
        with new_folder(made, {"a", "b"}) as folder:
            (folder / "a").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert (made / "a").read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_other_things_are_never_replaced(tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    with pytest.raises(ValueError, match=r"home holds thesis\.tex, which is no part"):
        fill(home, "new")
    assert (home / "thesis.tex").read_text() == "years"
    (tmp_path / "link").symlink_to(home)
    for path in (home / "thesis.tex", tmp_path / "link"):
        with pytest.raises(ValueError, match="is no folder of files"):
            fill(path, "new")
    with pytest.raises(FileNotFoundError, match=r"no folder .*none for made"):
        fill(tmp_path / "none" / "made", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home", "link"]
