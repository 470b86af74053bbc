"""`jaxprompt plan` compiles for TPUs that are not here, and says what fits."""

import dataclasses
import re

import jax
import pytest
from tiny import CONFIG

from jaxprompt.cli import main
from jaxprompt.config import Data, Model, Run
from jaxprompt.models.t5.model import T5
from jaxprompt.plan import plan
from jaxprompt.plan.chips import parse_slice
from jaxprompt.plan.estimate import Estimate, Memory, best_of, estimate
from jaxprompt.sharding import make_mesh

needs_compiler = pytest.mark.usefixtures("libtpu")

RUN = Run(
    trains="model",
    model=Model(architecture=dataclasses.replace(CONFIG, vocab_rows=512)),
    data=Data(input_length=16, target_length=4),
    batch_size=8,
)


@pytest.fixture
def libtpu():
    return pytest.importorskip("libtpu", reason="it comes with the extra `plan`")


def rows_of(text):
    """Returns each row of the table as a dict."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    header, _, *rows = cells
    return [dict(zip(header, row, strict=True)) for row in rows]


@needs_compiler
def test_a_small_model_fits_and_its_weights_are_split():
    where = parse_slice("v5e:2x2")
    mesh = make_mesh(1, 4, devices=where.devices())
    config = RUN.model.architecture
    found = estimate(RUN, config, "train", mesh, where.chip)
    whole = jax.eval_shape(T5(config).init, jax.random.key(0))
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(whole))
    assert found.fits
    assert (found.data, found.model) == (1, 4)
    # Norms and the position bias are whole on each chip.
    assert size / 4 < found.memory.weights < size / 3
    assert found.memory.weights < found.memory.peak < where.chip.memory
    # Each block ends in a sum over the chips, forwards and backwards.
    blocks, tokens = 2 + 3, 8 * 16
    assert found.seconds["links"] * where.chip.links > blocks * 4 * tokens


@needs_compiler
def test_a_large_model_does_not_fit_and_that_is_no_error():
    # One table of 24 GiB in float32, and as much again for its gradient.
    config = dataclasses.replace(CONFIG, vocab_rows=3 * 2**27, tied=True)
    text = plan(dataclasses.replace(RUN, model=Model(architecture=config)), "v5e:1x1")
    assert "train: 8 rows of 16 + 4 tokens" in text
    assert "v5e:1x1: 1 chip with 15.75 GiB each" in text
    (row,) = rows_of(text)
    assert (row["data"], row["model"], row["fits"]) == ("1", "1", "no")
    assert float(row["weights, GiB"]) == pytest.approx(24.0, abs=0.1)
    assert float(row["peak, GiB"]) > 48.0
    assert "nothing fits: take --gin.REMAT=full, or a larger slice" in text


def made(fits, seconds, peak):
    memory = Memory(1.0, 1.0, peak)
    return Estimate(1, 1, "none", memory, fits, 1.0, {"compute": seconds, "links": 0.1})


def test_the_best_fits_is_fast_and_is_small():
    slow, fast, small = made(True, 2.0, 5.0), made(True, 1.0, 9.0), made(True, 1.005, 6)
    assert best_of([slow, made(False, 0.5, 99.0), fast, small]) is small
    assert best_of([slow, fast]) is fast
    assert best_of([made(False, 0.5, 99.0)]) is None
    assert fast.bound == "compute"
    assert made(True, 0.01, 1.0).least == 0.1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--topology=v9:1x1"], "no TPU slice 'v9:1x1': use a chip of v5e, v5p, v6e"),
        (["--topology=v5e:1x1"], "no model: give a Hub name or a folder"),
        (["--topology=v5e:1x1", "--step=fly"], "unknown step 'fly': use one of"),
        (
            ["--topology=v5e:1x1", "--gin.MODEL='google/t6'"],
            "no sizes known for 'google/t6'",
        ),
    ],
)
def test_a_mistake_is_one_line(capsys, flags, message):
    assert main(["plan", *flags]) == 1
    error = capsys.readouterr().err
    assert re.search(f"jaxprompt: {re.escape(message)}", error)
    assert len(error.splitlines()) == 1
