"""Every notebook of docs/notebooks runs from its first cell to its last."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted(
    (Path(__file__).resolve().parents[2] / "docs" / "notebooks").glob("*.ipynb")
)


def run_cell(source: str, names: dict[str, Any]) -> Any:
    """Runs a cell; returns the value of its last line, where that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    if last is None:
        return None
    assert isinstance(last, ast.Expr)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    book = json.loads(path.read_text(encoding="utf-8"))
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "outputs are not kept"
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = []
    for cell in cells:
        source = "".join(cell["source"])
        shown.append(run_cell(source.replace("steps=200", "steps=2"), names))
    (drawn,) = [value for value in shown if hasattr(value, "_repr_html_")]
    assert "<table>" in drawn._repr_html_()
    assert {"bad", "good"} >= {*shown[-1]}, "the last cell answers"


def test_there_is_one():
    assert NOTEBOOKS
