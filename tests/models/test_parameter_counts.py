"""Table 4 of Lester et al. 2021: how many parameters a prompt and its model have.

The sizes are those of T5 1.1. The paper prints three of the numbers otherwise, see
docs/lester2021.md: 10,420 for 20 tokens of small, 0.01907 % for 100 of large, and
11,137,380,352 in all for 50 of xxl.
"""

import jax
import pytest

from jaxprompt.models.families import PUBLISHED
from jaxprompt.models.t5.model import T5
from jaxprompt.prompts.prompt import make_prompt

LENGTHS = (1, 5, 20, 50, 100, 150)

SIZES = ("small", "base", "large", "xl", "xxl")
FROZEN = {
    "small": 76_961_152,
    "base": 247_577_856,
    "large": 783_150_080,
    "xl": 2_849_757_184,
    "xxl": 11_135_332_352,
}
TRAINED = {
    "small": (512, 2_560, 10_240, 25_600, 51_200, 76_800),
    "base": (768, 3_840, 15_360, 38_400, 76_800, 115_200),
    "large": (1_024, 5_120, 20_480, 51_200, 102_400, 153_600),
    "xl": (2_048, 10_240, 40_960, 102_400, 204_800, 307_200),
    "xxl": (4_096, 20_480, 81_920, 204_800, 409_600, 614_400),
}
PERCENT_OF_100_TOKENS = {
    "small": "0.06648",
    "base": "0.03101",
    "large": "0.01307",
    "xl": "0.00719",
    "xxl": "0.00368",
}


def backbone_of(size: str) -> T5:
    return T5(PUBLISHED[f"google/t5-v1_1-{size}"])


def count_frozen(backbone: T5) -> int:
    return count(jax.eval_shape(backbone.init, jax.random.key(0)))


def count_trained(backbone: T5, length: int) -> int:
    rows = jax.ShapeDtypeStruct((length, backbone.width), "float32")
    return count(jax.eval_shape(make_prompt, rows))


def count(tree: object) -> int:
    return sum(leaf.size for leaf in jax.tree.leaves(tree))


@pytest.mark.parametrize("size", SIZES)
def test_they_are_the_papers(size: str):
    backbone = backbone_of(size)
    frozen = count_frozen(backbone)
    trained = {length: count_trained(backbone, length) for length in LENGTHS}
    assert frozen == FROZEN[size]
    assert trained == dict(zip(LENGTHS, TRAINED[size], strict=True))
    share = 100 * trained[100] / (frozen + trained[100])
    assert f"{share:.5f}" == PERCENT_OF_100_TOKENS[size]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("google-t5/t5-small", 60_506_624),
        ("google-t5/t5-11b", 11_307_321_344),
        ("google/mt5-small", 300_176_768),
        ("google/mt5-xxl", 12_921_057_280),
    ],
)
def test_other_published_models_are_as_large_as_their_checkpoints(name, parameters):
    assert count_frozen(T5(PUBLISHED[name])) == parameters


def test_where_the_paper_misprints_a_total():
    xxl = backbone_of("xxl")
    assert count_frozen(xxl) + count_trained(xxl, 50) == 11_135_537_152
