"""Values of gin names, whatever they are: a run, or one error naming the setting."""

import dataclasses
import sys
from pathlib import Path

import pytest
from amounts import examples
from hostile_input import LONG, one_error
from hypothesis import example, given, settings
from hypothesis import strategies as st

from jaxprompt.command.configure import configure, configure_seeds, configure_sweep
from jaxprompt.config import CONFIGURABLES, Run, Sweep

RUN = "gin/runs/prompt_tuning.gin"
OWN = "TASK=@OwnTask()"

FIELDS = [
    (kind.__name__, field.name)
    for kind in CONFIGURABLES
    # The others are made only where they are asked for, which a few tests do.
    if kind.__name__
    in "Model OwnTask Data PromptStart Optimizer Pace Evaluation Run".split()
    for field in dataclasses.fields(kind)
]

literals = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=False),
        st.text(max_size=12),
        st.binary(max_size=4),
        st.sampled_from(
            [-1, 0, 10**30, -(10**30), 1e308, LONG, "\0", "none", "x" * 99]
        ),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner),
        st.dictionaries(st.text(max_size=4) | st.integers(), inner, max_size=3),
    ),
    max_leaves=6,
)


def written(value: object) -> str:
    """Writes a value as gin text; infinity has no name there, but has a number."""
    return repr(value).replace("inf", "1e999")


def build(files: list[str], asked: list[str], *named: str) -> Run | None:
    found = one_error(lambda: configure(files, asked), *named)
    if found is None:
        return None
    run, config = found
    assert isinstance(run, Run)
    # What was built is also what its own text builds.
    assert configure([], [], start=config)[0] == run
    return run


@given(setting=st.sampled_from(FIELDS), value=literals)
@example(("Data", "task"), 5)
@example(("Data", "task"), "sst2")
@example(("Data", "shift_to"), 5)
@example(("Run", "model"), "t5")
@example(("Run", "data"), None)
@example(("Run", "seeds"), True)
@example(("Run", "seed"), 2**64)
@example(("OwnTask", "labels"), 5)
@example(("OwnTask", "labels"), {"0": 5})
@example(("OwnTask", "labels"), "positive")
@example(("OwnTask", "files"), 5)
@example(("OwnTask", "files"), {"train": 5})
@example(("OwnTask", "share"), {"train": "most"})
@example(("OwnTask", "metrics"), "accuracy")
@example(("OwnTask", "metrics"), 5)
@example(("OwnTask", "metrics"), [["accuracy"]])
@example(("PromptStart", "length"), "many")
@example(("PromptStart", "init"), ["uniform"])
@example(("PromptStart", "words"), [1])
@example(("Model", "quantise"), {})
@example(("Model", "architecture"), "small")
@example(("Evaluation", "method"), [])
@example(("Optimizer", "learning_rate"), float("inf"))
@example(("Optimizer", "kind"), {})
@settings(max_examples=examples(100))
def test_a_literal_for_any_field(setting: tuple[str, str], value: object):
    name, field = setting
    named = [] if name == "Run" else [name]  # A run's parts name themselves.
    build([RUN], [OWN, f"{name}.{field}={written(value)}"], *named)


@given(text=st.text(max_size=30), name=st.sampled_from(["STEPS", "MODEL", "TASK"]))
@example(text="", name="STEPS")
@example(text="5\nimport trap", name="STEPS")
@example(text="'", name="MODEL")
@example(text='"""', name="MODEL")
@example(text="\0", name="MODEL")
@example(text="'\ud800'", name="MODEL")
@example(text="[" * 10_000, name="MODEL")
@example(text="[" * 150 + "]" * 150, name="MODEL")
@example(text="-" * 10_000 + "1", name="STEPS")
@example(text="1" * 5000, name="STEPS")
@example(text="%MODEL", name="MODEL")
@example(text="%NOTHING", name="MODEL")
@example(text="@Run()", name="MODEL")
@example(text="@Run", name="TASK")
@example(text="@gin.singleton()", name="TASK")
@example(text="@os.system('true')", name="TASK")
@example(text="__import__('trap')", name="STEPS")
@example(text="f'{1}'", name="MODEL")
@example(text=LONG, name="MODEL")
@settings(max_examples=examples(30))
def test_any_text_for_a_name(text: str, name: str):
    build([RUN], [f"{name}={text}"])


@given(setting=st.text(max_size=30))
@example(setting="")
@example(setting="=")
@example(setting=".=1")
@example(setting="Run.=1")
@example(setting="Run.seed")
@example(setting="STEPS\n=1")
@example(setting="a/b/Run.seed=1")
@example(setting="\ud800=1")
@example(setting=f"{LONG}=1")
@example(setting="Run.model.name='x'")
@example(setting="include 'gin/runs/prompt_tuning.gin'")
@example(setting="macro.value=1")
def test_any_setting(setting: str):
    build([RUN], [setting])


@given(content=st.binary(max_size=80))
@example(b"\xff\xfeS\x00")
@example("MODEL = 'caf\xe9'".encode("cp1252"))
@example(b"\xef\xbb\xbfMODEL = 'x'\n")
@example(b"MODEL = 'x'\r\nSTEPS = 3\r\n")
@example(b"MODEL = (\n")
@example(b"  MODEL = 1\n")
@example(b"A = 1\n  B = 2\n C = 3")
@example(b"A = %B\nB = %A\nMODEL = %A\n")
@example(b"Run.model = @Run()\nRun.data = @Run()\n")
@example(b"Data.task = @TaskGroup()\nTaskGroup.names = 5\n")
@example(b"Data.task = @TaskGroup()\nTaskGroup.names = [5]\n")
@example(b"Data.task = @TextTask()\nTextTask.objectives = {'a': 'b'}\n")
@example(b"Model.architecture = @T5Config()\nT5Config.width = []\n")
@example(b"Run.tokenizer = @Tokenizer()\nTokenizer.pieces = 'x'\n")
@example(b"include '" + b"x" * 5000 + b"'\n")
@example(b"include '\\0'\n")
@example(b"include 'hostile.gin'\n")
@example(b'MODEL = """\ninclude \'hostile.gin\'\ninclude \'hostile.gin\'\n"""\n')
@settings(max_examples=examples(150))
def test_any_gin_file(tmp_path: Path, monkeypatch, content: bytes):
    with monkeypatch.context() as patch:
        patch.chdir(tmp_path)
        Path("hostile.gin").write_bytes(content)
        build([RUN, "hostile.gin"], [])


@given(title=literals, arms=literals, tasks=literals, axis=literals, x=literals)
@example("t", {"a": {}}, [5], "", {})
@example("t", {"a": {}}, 5, "", {})
@example("t", {"a": {}}, (), "", 5)
@example("t", {5: {}}, (), "", {})
@example("t", {"a": {5: 1}}, (), "", {})
@example("t", {"a": {}}, (), [], {"a": True})
def test_a_sweep(title, arms, tasks, axis, x):
    values = {"title": title, "arms": arms, "tasks": tasks, "axis": axis, "x": x}
    asked = [f"Sweep.{name}={written(value)}" for name, value in values.items()]
    sweep = one_error(lambda: configure_sweep([RUN], asked))
    assert sweep is None or isinstance(sweep, Sweep)


def test_seeds_beyond_reason_are_no_endless_list():
    asked = ["TRAINS='model'", f"SEEDS={10**15}"]
    assert one_error(lambda: configure_seeds([RUN], asked), "seeds") is None


@pytest.mark.parametrize(
    "line",
    [
        "import trap",
        "import trap as os",
        "from trap import *",
        "from trap import x",
        "MODEL = @trap.run()",
        "MODEL = @trap.run",
        "MODEL = [@trap.run()]",
        "trap.run.x = 1",
        "MODEL = __import__('trap')",
        "MODEL = 'x'\n\n# comment\nimport trap",
        "include 'trap.gin'",
        "MODEL = '''\n'''\nimport trap",
    ],
)
def test_no_text_imports_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
):
    (tmp_path / "trap.py").write_text("def run(x=1): pass\n")
    (tmp_path / "trap.gin").write_text("from trap import run\n")
    (tmp_path / "hostile.gin").write_text(f"{line}\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    calls = [
        lambda: configure([RUN, "hostile.gin"], []),
        lambda: configure([RUN], [f"STEPS=1\n{line}"]),
        lambda: configure([], [], start=f"STEPS = 1\n{line}\n"),
    ]
    for call in calls:
        assert one_error(call) is None
    assert "trap" not in sys.modules
