"""Eight virtual CPU devices, strict numerics, and where the shared data lies."""

import os
import shutil
import sys
from collections.abc import Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import jax
import pytest
from tiny import Tiny, make_tiny

from jaxprompt.sharding import make_mesh
from jaxprompt.startup import collect_garbage_less, load_triton

load_triton()  # Test files may import seqio or PEFT first.
# As commands do: looking for garbage among the imports takes up to a tenth of the time.
collect_garbage_less()

os.environ["TQDM_DISABLE"] = "1"
# Most of the tests' time would be compiling. Without XLA's newer emitters of fused
# loops, a train step of tests/tiny.py compiles in a quarter of the time; a program that
# is not split among threads, of which the other worker has the core, in a tenth less.
# Another version of XLA may not know the flags, and would refuse to start.
if version("jaxlib").startswith("0.10."):
    QUICK = (
        "--xla_cpu_use_fusion_emitters=false",
        "--xla_llvm_disable_expensive_passes=true",
        "--xla_cpu_parallel_codegen_split_count=1",
    )
    os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *QUICK])
# What was compiled once serves the other worker, the processes that tests start, and
# the next `make test`.
CACHES = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
COMPILED = str(CACHES / "jaxprompt" / "tests")
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", COMPILED)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
# JAX read the environment when it was imported.
jax.config.update("jax_compilation_cache_dir", os.environ["JAX_COMPILATION_CACHE_DIR"])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Operations that know no lines of Python compile in a twelfth less; of children too.
os.environ["JAX_TRACEBACK_IN_LOCATIONS_LIMIT"] = "0"
jax.config.update("jax_traceback_in_locations_limit", 0)
# What children compile runs briefly too; see `quick_compilation`.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "true"
# Of processes that tests start too: where libtpu is installed, JAX looks for a TPU.
os.environ["JAX_PLATFORMS"] = "cpu"
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_num_cpu_devices", 8)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_default_matmul_precision", "highest")

TESTS = Path(__file__).resolve().parent
REPOSITORY = TESTS.parent
sys.path.insert(0, str(REPOSITORY / "tools"))
import make_skills  # noqa: E402  It lies among the tools.

WHOLE_RUNS = ("tests", "runs", "hostile", "interop", "faults", "interactive")
"""Folders whose tests call whole runs in their own process."""

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
    brief = request.path.name not in ("test_learning.py",)
    jax.config.update("jax_disable_most_optimizations", brief)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    # A worker would hold the programs of all files, 8 GB at the end.
    jax.clear_caches()


@pytest.fixture(scope="module", autouse=True)
def one_device(request: pytest.FixtureRequest) -> Iterator[None]:
    """Lets whole runs see one of the devices, for which they compile in half the time.

    A module whose mark is `every_device` has all of them.
    """
    wanted = request.node.get_closest_marker("every_device")
    with pytest.MonkeyPatch.context() as patch:
        if wanted is None and request.path.parent.name in WHOLE_RUNS:
            first = partial(make_mesh, devices=jax.devices()[:1])
            patch.setattr("jaxprompt.runs.ready.prepare.make_mesh", first)
        yield


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

    Its weights are those of tests/golden/skills, which the tool made and which
    tests/test_learning.py makes again.
    """
    folder = tmp_path_factory.mktemp("skills")
    shutil.copytree(TESTS / "golden" / "skills", folder / "backbone")
    make_skills.make_vocabulary(folder / "backbone")
    make_skills.write_data(folder)
    return folder
