"""The command `jaxprompt`: starts what its flags say, and tells mistakes in a line."""

# What `signal` is made of: it is built in, and there at once.
import _signal  # pyright: ignore[reportMissingImports]
import os
import sys

_AS_COMMAND = os.path.basename(sys.argv[0]) in ("jaxprompt", "-m", "__main__.py")
if _AS_COMMAND and _signal.getsignal(_signal.SIGINT) is _signal.default_int_handler:
    # Until signals are heard Ctrl-C ends the process, without a traceback.
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)

from jaxprompt.screen.interrupts import Interrupted, interruptible  # noqa: E402

# All else is imported once they are.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: "Sequence[str] | None" = None) -> int:
    """Runs one command.

    Args:
        arguments: The command line without the program's name; None takes this
            process's, which ends after it.

    Returns:
        The exit status: 0 done; 1 a mistake in what was asked, told in one line, or
        something wrong that `doctor` found; 2 a mistake in the flags; 143 or 130
        stopped by SIGTERM or SIGINT, at whatever moment, told in one line.
    """
    try:
        with interruptible(ends_process=arguments is None):
            return _run(arguments)
    except Interrupted as stop:
        _tell(str(stop))
        return 128 + stop.signal


def _run(arguments: "Sequence[str] | None") -> int:
    # JAX is imported after the flags and the names in gin files are read, so that
    # --help and a misspelt name do not wait for it.
    from jaxprompt.command.flags import is_distributed, make_parser
    from jaxprompt.screen.terminal import say, unless_nobody_reads

    parser = make_parser()
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help(sys.stderr)
        return 2
    flags, rest = parser.parse_known_args(arguments)
    if rest:
        parser.error(f"unknown arguments: {' '.join(rest)}")

    from jaxprompt import startup

    if arguments is None:  # The process is this command's.
        startup.collect_garbage_less()
    if sys.stderr.isatty() and not flags.quick:
        # JAX takes a second or more to start, before anything else can be said.
        say(f"{startup.versions()}: starting {flags.called}", problem=True)

    from jaxprompt.command import commands
    from jaxprompt.train.stopped import Stopped

    try:
        commands.check(flags)
        if not flags.quick:
            startup.use_compilation_cache()
            startup.leave_out_absent_tpu()
            if arguments is None:
                startup.give_back_after_compiling()
        if is_distributed(flags):
            startup.join_hosts(
                flags.coordinator_address, flags.num_processes, flags.process_id
            )
        status = flags.command(flags)
        with unless_nobody_reads():
            sys.stdout.flush()
    except Stopped as stopped:
        _tell(f"{stopped}; the same command resumes")
        return 128 + stopped.signal
    except startup.NotInstalled as error:
        _tell(str(error))
        return 1
    except (ValueError, OSError, FloatingPointError) as error:
        # A disk, a name or a permission may fail anywhere; that is no bug either.
        if not isinstance(error, OSError) and not _is_ours(error):
            raise
        _tell(str(error))
        return 1
    return status or 0


def _tell(message: str) -> None:
    """Prints a message, which may hold text of files and users, as one line."""
    from jaxprompt.screen.terminal import say

    lines = (line.strip() for line in message.split("\n"))
    say(f"jaxprompt: {' '.join(filter(None, lines))}", problem=True)


def _is_ours(error: BaseException) -> bool:
    """Whether one of this package's checks raised it: anything else is a bug."""
    import traceback
    from pathlib import Path

    last = traceback.extract_tb(error.__traceback__)[-1]
    return Path(last.filename).is_relative_to(Path(__file__).parent)
