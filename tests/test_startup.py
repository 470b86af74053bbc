"""Compiled programs are kept for the next process, where JAX's settings say nothing."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from jaxprompt.startup import use_compilation_cache
use_compilation_cache()
import jax, jax.numpy as jnp
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
import logging
logging.basicConfig(level=logging.DEBUG)
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((4, 4)))
"""


def compile_once(home: Path, **variables: str) -> str:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JAX_")
    }
    environment |= {"XDG_CACHE_HOME": str(home), "JAX_PLATFORMS": "cpu", **variables}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stderr


def test_the_second_process_compiles_nothing(tmp_path: Path):
    first, second = compile_once(tmp_path), compile_once(tmp_path)
    assert list((tmp_path / "jaxprompt" / "compiled").iterdir())
    assert "Persistent compilation cache hit for 'jit__lambda" not in first
    assert "Persistent compilation cache hit for 'jit__lambda" in second


def test_jaxs_own_settings_win(tmp_path: Path):
    other = tmp_path / "other"
    compile_once(tmp_path, JAX_COMPILATION_CACHE_DIR=str(other))
    assert list(other.iterdir())
    assert not (tmp_path / "jaxprompt").exists()
