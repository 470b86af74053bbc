"""How a process starts: its cache of programs, Triton before TensorFlow, no TPU."""

import ctypes
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxprompt.startup import has_tpu

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


def in_process(program: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("JAX_")
    }
    return subprocess.run(
        [sys.executable, "-c", program],
        env={**environment, **variables},
        capture_output=True,
        text=True,
    )


def test_a_command_seldom_looks_for_garbage_and_its_caller_as_before():
    done = in_process(
        "import gc, sys; from jaxprompt.cli import main;"
        "sys.argv[1:] = ['list', 'runs'];"
        "main(sys.argv[1:]); print(gc.get_threshold()[0]); main(); print();"
        "print(gc.get_threshold()[0])"
    )
    lines = done.stdout.splitlines()
    assert "700" in lines
    assert lines[-1] == "50000"


COMPILES = """
import re, sys
import jax, jax.numpy as jnp

{first}
def held():
    status = open("/proc/self/status").read()
    return int(re.search(r"RssAnon:\\s+(\\d+)", status)[1]) / 1024
def deep(x):
    for n in range(50):
        x = jnp.tanh(x @ jnp.ones((8, 8)) * n) + jnp.sin(x)
    return x
x = jnp.ones((8, 8)).block_until_ready()
before = held()
jax.jit(deep).lower(x).compile()
print(held() - before)
"""
"""Prints how many MiB more a process holds when it has compiled."""

AS_A_COMMAND = """
from jaxprompt.cli import main
sys.argv[1:] = ["show", "--gin_file=gin/runs/prompt_tuning.gin", "--gin.MODEL=absent"]
main()
"""
"""What a command does first, though there is no such model."""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="no malloc_trim: not glibc"
)
def test_what_the_compiler_has_freed_is_given_back():
    kept, given_back = (
        in_process(
            COMPILES.format(first=first),
            JAX_PLATFORMS="cpu",
            JAX_ENABLE_COMPILATION_CACHE="false",
            XLA_FLAGS="",  # As a user compiles, and not as the tests do.
        )
        for first in ("", AS_A_COMMAND)
    )
    assert float(given_back.stdout) < float(kept.stdout) / 2, given_back.stderr


def test_the_data_room_imports_triton_before_tensorflow(tmp_path: Path):
    for name in ("triton", "tensorflow"):
        (tmp_path / name).mkdir()
    (tmp_path / "triton" / "__init__.py").write_text("print('triton')")
    (tmp_path / "tensorflow" / "__init__.py").write_text("raise SystemExit('then')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = in_process("import jaxprompt.data.official.tasks", PYTHONPATH=path)
    assert done.stdout.split() == ["triton"]
    assert done.stderr.strip().endswith("then")


@pytest.mark.skipif(
    importlib.util.find_spec("triton") is None,
    reason="no Triton: PyTorch for CUDA brings it",
)
def test_a_process_that_read_data_survives_triton():
    done = in_process("import jaxprompt.data.official.libraries; import triton")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("vendor", "kind", "file", "found"),
    [
        ("0x1ae0", "0xff0000", "", True),  # A TPU on the PCI bus.
        ("0x1ae0", "0x020000", "", False),  # Google's network card.
        ("0x1ae0", "0x010802", "", False),  # Google's disk.
        ("0x10de", "0x030200", "", False),  # A GPU.
        ("0x8086", "0x060000", "dev/vfio/vfio", False),
        ("0x8086", "0x060000", "dev/vfio/0", True),
        ("0x8086", "0x060000", "dev/accel0", True),
    ],
)
def test_a_tpu_is_seen_by_its_devices(
    tmp_path: Path, vendor: str, kind: str, file: str, found: bool
):
    device = tmp_path / "sys/bus/pci/devices/0000:00:04.0"
    device.mkdir(parents=True)
    (device / "vendor").write_text(f"{vendor}\n")
    (device / "class").write_text(f"{kind}\n")
    if file:
        (tmp_path / file).parent.mkdir(parents=True)
        (tmp_path / file).touch()
    assert has_tpu(tmp_path) is found


@pytest.mark.skipif(
    importlib.util.find_spec("libtpu") is None or has_tpu(),
    reason="needs libtpu, which `plan` brings, and no TPU",
)
def test_libtpu_without_a_tpu_is_left_alone():
    done = in_process(
        "from jaxprompt.startup import leave_out_absent_tpu;"
        "leave_out_absent_tpu(); import jax; print(jax.default_backend());"
        "print('libtpu.so' in open('/proc/self/maps').read())"
    )
    assert done.stdout.split() == ["cpu", "False"]
    assert not done.stderr
