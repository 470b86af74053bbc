"""What docs/extending.md adds from outside of the package works as it stands."""

import re
import subprocess
import sys
from pathlib import Path

from jaxprompt.prompts.file import load_prompt

PAGE = Path(__file__).resolve().parents[1] / "docs" / "extending.md"


def test_the_examples_of_the_page_are_a_program(tmp_path: Path):
    text = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    program = tmp_path / "extended.py"
    program.write_text("\n".join(blocks))
    # A process of its own: what it registers is for no other test.
    done = subprocess.run(
        [sys.executable, program], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "wrote" in done.stdout
    trained, _ = load_prompt(tmp_path / "parity" / "prompt.safetensors")
    again, _ = load_prompt(tmp_path / "again.safetensors")
    assert trained.rows.shape == (1, 4, trained.width)
    assert again.rows.tolist() == trained.rows.tolist()
