"""Eight virtual CPU devices, strict numerics, and where the shared data lies."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from tiny import Tiny, make_tiny

os.environ["TQDM_DISABLE"] = "1"
# Of processes that tests start too: where libtpu is installed, JAX looks for a TPU.
os.environ["JAX_PLATFORMS"] = "cpu"
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
sys.path.insert(0, str(REPOSITORY / "tools"))


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
    """A tiny T5 that knows four skills, and their data; see tools/make_skills.py."""
    folder = tmp_path_factory.mktemp("made") / "skills"
    # In a process of its own: eight virtual devices share this one's threads.
    tool = REPOSITORY / "tools" / "make_skills.py"
    subprocess.run([sys.executable, tool, folder], check=True)
    return folder
