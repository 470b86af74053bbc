"""Slices of TPU chips by name, and what is wrong with other names."""

import pytest

from jaxprompt.plan.chips import CHIPS, parse_slice


@pytest.mark.parametrize(
    ("name", "full", "chips"),
    [
        ("v5e:1x1", "v5e:1x1", 1),
        ("v5e:2x2", "v5e:2x2", 4),
        ("v6e:2x4", "v6e:2x4", 8),
        ("v6e:4x8", "v6e:4x8", 32),
        ("v5p:1x1", "v5p:1x1x1", 1),
        ("v5p:2x2x1", "v5p:2x2x1", 4),
        ("v5p:2x2x4", "v5p:2x2x4", 16),
    ],
)
def test_a_slice_is_a_chip_and_a_grid(name, full, chips):
    found = parse_slice(name)
    assert (found.name, found.chips) == (full, chips)
    assert found.chip is CHIPS[name.split(":")[0]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("v9:2x2", "no TPU slice 'v9:2x2': use a chip of v5e, v5p, v6e and a grid"),
        ("v5e", "no TPU slice 'v5e': use a chip .*, as v5e:1x1"),
        ("v5e:4", "no TPU slice 'v5e:4'"),
        ("v5e:2x2x2", "v5e:2x2x2: the torus of v5e has two axes, as v5e:2x2"),
        ("v5e:3x3", "v5e:3x3: .* hosts of 2x2 chips; use multiples of it, as v5e:4x4"),
        ("v5p:2x2x0", "hosts of 2x2x1 chips; use multiples of it, as v5p:2x2x2"),
    ],
)
def test_another_name_is_refused(name, message):
    with pytest.raises(ValueError, match=message):
        parse_slice(name)


@pytest.mark.parametrize("name", ["v5e:1x1", "v5e:2x4", "v5p:1x1x1", "v6e:4x4"])
def test_the_compiler_knows_the_devices(name):
    pytest.importorskip("libtpu", reason="libtpu comes with the extra `plan`")
    where = parse_slice(name)
    devices = where.devices()
    assert len(devices) == where.chips
    assert {device.platform for device in devices} == {"tpu"}
