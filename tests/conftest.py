"""Eight virtual CPU devices, strict numerics, and where the shared data lies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import filelock
import jax
import pytest
from tiny import Tiny, make_tiny

from jaxprompt.startup import load_triton

load_triton()  # Test files may import seqio or PEFT first.

os.environ["TQDM_DISABLE"] = "1"
# Two thirds of the tests' time would be compiling. What was compiled once serves the
# other worker, the processes that tests start, and the next `make test`.
CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
COMPILED = str(CACHES / "jaxprompt" / "tests")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", COMPILED)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# JAX read the environment when it was imported.
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Of processes that tests start too: where libtpu is installed, JAX looks for a TPU.
os.environ["JAX_PLATFORMS"] = "cpu"
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
sys.path.insert(0, str(REPOSITORY / "tools"))


LONGEST_FIRST = (
    "tests/test_many_hosts.py",
    "tests/faults/",
    "tests/test_cli.py",
    "tests/test_public_face.py",
    "tests/runs/",
    "tests/test_learning.py",
)
"""Files that take longest: begun last, one of them would keep one worker waiting."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets the longest files begin first; the order inside a file stays."""

    def place(item: pytest.Item) -> int:
        starts = [item.nodeid.startswith(name) for name in LONGEST_FIRST]
        return starts.index(True) if any(starts) else len(starts)

    items.sort(key=place)


@pytest.fixture(autouse=True)
def strict_dtypes(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets no dtype be promoted by chance where optax, which needs it, does not run."""
    if request.path.parent.name in ("models", "prompts", "evaluate", "report"):
        with jax.numpy_dtype_promotion("strict"):
            yield
    else:
        yield


@pytest.fixture(scope="module", autouse=True)
def quick_compilation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Compiles in half the time, where the machine code that comes out runs briefly."""
    jax.config.update("jax_disable_most_optimizations", request.path.parent != TESTS)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def shared() -> Path:
    """The folder of real data beside the repository."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data: {folder} is absent")
    return folder


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """A frozen T5 of a few thousand random weights."""
    return make_tiny()


@pytest.fixture(scope="session")
def skills(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5 that knows four skills, and their data; see tools/make_skills.py.

    One worker makes it for all.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "skills"
    with filelock.FileLock(shared / "skills.lock"):
        if not folder.exists():
            # In a process of its own: eight virtual devices share this one's threads.
            tool = REPOSITORY / "tools" / "make_skills.py"
            made = shared / "skills.making"
            subprocess.run([sys.executable, tool, made], check=True)
            made.rename(folder)
    return folder
