"""What a process does first: find its cache and devices, spare memory, join its hosts.

JAX is imported by what needs it: the command line imports this file before it reads
gin files, whose errors do not wait.
"""

import contextlib
import gc
import importlib
import importlib.util
import os
import sys
from importlib import metadata
from pathlib import Path


class NotInstalled(ImportError):
    """A package of an extra is asked for that is not there; says how to get it."""


def versions() -> str:
    """Returns "jaxprompt 0.1.0, JAX 0.10.2", and imports neither."""
    names = {"jaxprompt": "jaxprompt", "jax": "JAX"}
    return ", ".join(f"{said} {_version(name)}" for name, said in names.items())


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def cache_folder() -> Path:
    """Returns the folder of what can be made again: ~/.cache/jaxprompt.

    Raises:
        RuntimeError: If the user has no home.
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return caches / "jaxprompt"


def collect_garbage_less() -> None:
    """Has Python look for cycles of garbage when there are 50,000 objects more.

    By itself it looks whenever there are 700 more. Importing libraries makes a million,
    hardly one of which is garbage: looking took a second of TensorFlow's import.
    """
    gc.set_threshold(50_000)


def give_back_after_compiling() -> None:
    """Gives memory back to the system that XLA's compiler has used and freed.

    glibc would keep it for the process, and the memory of a step would come on top.
    To look for it takes up to a tenth of a second: short compilations are passed over.
    Other C libraries than glibc are left alone.
    """
    import ctypes

    import jax

    on_linux = sys.platform == "linux"
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if on_linux else None
    if trim is None:
        return

    def listen(event: str, duration_secs: float, **_: str | int) -> None:
        if event == _COMPILED and duration_secs > _LONG_COMPILING:
            trim(0)

    jax.monitoring.register_event_duration_secs_listener(listen)


_COMPILED = "/jax/core/compile/backend_compile_duration"
"""JAX's name for what it tells when a program is compiled, before it runs."""

_LONG_COMPILING = 0.5
"""Seconds."""


def use_compilation_cache() -> None:
    """Keeps compiled programs for the next process, in ~/.cache/jaxprompt/compiled.

    JAX's own settings win: JAX_COMPILATION_CACHE_DIR names another folder, and
    JAX_ENABLE_COMPILATION_CACHE=false keeps nothing.
    """
    import jax

    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    # A folder that cannot be written is JAX's to warn of; nothing depends on it.
    jax.config.update("jax_compilation_cache_dir", str(cache_folder() / "compiled"))
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        # Small ones too: a start compiles about fifty, of 30 milliseconds each.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)


def load_triton() -> None:
    """Imports Triton, where it is installed, if TensorFlow is not imported yet.

    Both bring LLVM. Triton's start, which PyTorch's compiler and PEFT cause, ends a
    process that holds TensorFlow 2.21 with a segmentation fault; TensorFlow starts
    well behind Triton. Seen with Triton 3.8 of PyTorch 2.14.1 for CUDA.
    """
    if "tensorflow" not in sys.modules and importlib.util.find_spec("triton"):
        # A Triton that cannot be imported now cannot be imported later.
        with contextlib.suppress(ImportError):
            importlib.import_module("triton")


def has_tpu(root: Path = Path("/")) -> bool:
    """Whether this machine may have a TPU: a PCI device of Google's, or a device file.

    Google's network cards and disks on the PCI bus do not count.

    Args:
        root: Where /sys and /dev are.
    """
    for vendor in root.glob("sys/bus/pci/devices/*/vendor"):
        kind = (vendor.parent / "class").read_text().strip()
        network_or_disk = kind.startswith(("0x01", "0x02"))
        if vendor.read_text().strip() == "0x1ae0" and not network_or_disk:
            return True
    files = ("dev/accel[0-9]*", "dev/vfio/[0-9]*")
    return any(any(root.glob(pattern)) for pattern in files)


def leave_out_absent_tpu() -> None:
    """Keeps JAX from starting libtpu, installed for `plan`, where there is no TPU.

    It would print errors and hold /tmp/libtpu_lockfile. JAX still chooses among all
    other platforms. JAX_PLATFORMS and JAX_FORCE_TPU_INIT win.
    """
    import jax
    from jax.extend import backend

    chosen = jax.config.values["jax_platforms"] or "JAX_FORCE_TPU_INIT" in os.environ
    if not chosen and not has_tpu():
        backend.register_backend_factory("tpu", _no_tpu, priority=0, fail_quietly=True)


def _no_tpu() -> None:
    raise RuntimeError("this machine has no TPU")


def join_hosts(
    coordinator_address: str | None = None,
    num_processes: int | None = None,
    process_id: int | None = None,
) -> None:
    """Makes the processes of a job one: each sees the devices of all.

    Of the first process's output all is seen, of the others only errors.

    Args:
        coordinator_address: "host:port" of the first process; None to find it out, as
            JAX does on Cloud TPUs and GKE, and under Slurm, Open MPI and mpi4py.
        num_processes: How many there are; None likewise.
        process_id: Which of them this is, from 0; None likewise.

    Raises:
        ValueError: If something has to be found out, and cannot.
    """
    import jax

    given = (coordinator_address, num_processes, process_id)
    try:
        jax.distributed.initialize(*given)
    except ValueError as err:
        raise ValueError(
            f"--distributed: {err} No Cloud TPU, GKE, Slurm or Open MPI was found; say "
            "--coordinator_address=HOST:PORT --num_processes=N --process_id=K"
        ) from err
    if jax.process_index() > 0:
        os.environ["TQDM_DISABLE"] = "1"  # Read when tqdm is imported.
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
