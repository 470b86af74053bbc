"""What a process does before anything else with JAX: join its hosts, find its cache."""

import os
import sys
from pathlib import Path

import jax


def use_compilation_cache() -> None:
    """Keeps compiled programs for the next process, in ~/.cache/jaxprompt/compiled.

    JAX's own settings win: JAX_COMPILATION_CACHE_DIR names another folder, and
    JAX_ENABLE_COMPILATION_CACHE=false keeps nothing.
    """
    if jax.config.values["jax_compilation_cache_dir"] is not None:
        return
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    # A folder that cannot be written is JAX's to warn of; nothing depends on it.
    jax.config.update(
        "jax_compilation_cache_dir", str(caches / "jaxprompt" / "compiled")
    )
    if "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS" not in os.environ:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


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
