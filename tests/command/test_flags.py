"""Flags and commands: misspelt ones say what may be meant; --version; gin settings."""

import pytest

from jaxprompt.command.flags import make_parser

RUN = "--gin_file=gin/runs/prompt_tuning.gin"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no command 'trian': did you mean train?"),
        (["zzz"], "no command 'zzz': use one of train, sweep, "),
        (["transfer", "matrx"], "no topic 'matrx': did you mean matrix?"),
        (["train", RUN, "--workdri=x"], "--workdri: did you mean --workdir?"),
        (["train", "--gin-file=a", "--workdir=x"], "did you mean --gin_file?"),
        (["train", "a.gin", "--workdir=x"], "did you mean --gin_file=a.gin?"),
        (["train", "--gin_file", "a.gin", "b.gin"], "did you mean --gin_file=b.gin?"),
        (["train", "--zzz"], "unknown flag --zzz: see jaxprompt train --help"),
        (["train", "-gin_file=a.gin", "--workdir=x"], "did you mean --gin_file?"),
        (["train", "--model=a", "--workdir=x"], "did you mean --gin.MODEL=...?"),
        (["train", "MODEL=a", "--workdir=x"], "did you mean --gin.MODEL=...?"),
        (["train", "--learning-rate", "1"], "did you mean --gin.LEARNING_RATE=...?"),
        (["train", "--gin", "MODEL=a"], "--gin: did you mean --gin.NAME=...?"),
        (["--workdir=x", "train"], "--workdir of jaxprompt: flags stand behind a comm"),
        (["--verison"], "unknown flag --verison of jaxprompt: did you mean --version?"),
        (["version"], "no command 'version': write --version"),
        (["report", "x", "--gin.A=1"], "--gin.A: this command takes no gin settings"),
        (["train"], "the following arguments are required: --workdir"),
    ],
)
def test_a_misspelt_flag_says_what_may_be_meant(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    with pytest.raises(SystemExit) as stop:
        make_parser().parse_known_args(arguments)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_gin_settings_may_stand_anywhere_and_behind_a_space():
    arguments = ["--gin.A=1", "--workdir=x", "--gin.B", "a b", "--gin.C", "-1"]
    flags, rest = make_parser().parse_known_args(["train", *arguments])
    assert flags.settings == ["A=1", "B=a b", "C=-1"]
    assert (flags.workdir, rest) == ("x", [])


def test_version_names_this_program_and_jax(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as stop:
        make_parser().parse_known_args(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("jaxprompt 0.1.0, JAX 0.")
