"""Table 4 of Lester et al. 2021: how many parameters a prompt and its model have.

The sizes are those of T5 1.1; a checkpoint brings them, so that the library has none.
The paper prints three of the numbers otherwise, see docs/lester2021.md: 10,420 for 20
tokens of small, 0.01907 % for 100 of large, and 11,137,380,352 in all for 50 of xxl.
"""

import jax
import pytest

from jaxprompt.models.t5 import T5
from jaxprompt.models.t5_config import T5Config
from jaxprompt.prompts.prompt import make_prompt

LENGTHS = (1, 5, 20, 50, 100, 150)

# Size: heads, layers a side, width, feed-forward width.
SIZES = {
    "small": (6, 8, 512, 1024),
    "base": (12, 12, 768, 2048),
    "large": (16, 24, 1024, 2816),
    "xl": (32, 24, 2048, 5120),
    "xxl": (64, 24, 4096, 10240),
}
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
    heads, layers, width, ffn_width = SIZES[size]
    return T5(
        T5Config(
            vocab_rows=32_128,
            width=width,
            heads=heads,
            head_width=64,
            ffn_width=ffn_width,
            encoder_layers=layers,
            decoder_layers=layers,
            gated=True,
            activation="gelu_new",
            tied=False,
            scaled_logits=False,
        )
    )


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


def test_where_the_paper_misprints_a_total():
    xxl = backbone_of("xxl")
    assert count_frozen(xxl) + count_trained(xxl, 50) == 11_135_537_152
