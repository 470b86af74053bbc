"""A run on a GGUF file: from the gin name to its weights, and to a saved folder."""

from pathlib import Path

import pytest
from gguf_files import SIZES, byte_pairs, draw_tensors, write_model

from jaxprompt.configure import configure
from jaxprompt.data.vocabulary.chat import read_chat_template
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.models.load import load
from jaxprompt.models.weights.save import save
from jaxprompt.runs.ready.frozen import open_model
from jaxprompt.sharding import make_mesh

SETTINGS = {
    **SIZES,
    "model_type": "llama",
    "vocab_size": 280,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 16,
    "max_position_embeddings": 128,
}
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny.Q8_0.gguf"
    write_model(
        path,
        SETTINGS,
        draw_tensors(SETTINGS),
        architecture="llama",
        kind="Q8_0",
        tokenizer=byte_pairs(280, SPECIAL),
        template="{{ messages[0].content }}",
    )
    return path


def test_a_run_says_how_the_weights_lie_in_memory(
    path: Path, capsys: pytest.CaptureFixture[str]
):
    run, _ = configure(
        ["gin/runs/prompt_tuning.gin", "gin/tasks/mini_sentiment.gin"],
        [f"MODEL={str(path)!r}", "QUANTISE='int8'"],
    )
    frozen = open_model(run.model).load(make_mesh())
    said = capsys.readouterr()
    note = "matrices of tiny.Q8_0.gguf in memory: 8 Q8_0 kept as int8 levels"
    assert note in said.out + said.err
    assert frozen.backbone.name == "tiny.Q8_0.gguf"
    assert frozen.vocabulary.decode(frozen.vocabulary.encode("naïve")) == "naïve"


def test_a_saved_folder_has_its_weights_vocabulary_and_template(
    path: Path, tmp_path: Path
):
    backbone, model = load(path)
    save(tmp_path / "saved", backbone, model)
    again, _ = load(tmp_path / "saved")
    assert again.config == backbone.config
    assert again.fingerprint == backbone.fingerprint
    texts = ["a bad film<|im_end|>", "1999, isn't it?"]
    ours, theirs = (
        load_vocabulary(place, causal=True) for place in (path, tmp_path / "saved")
    )
    assert theirs.encode_all(texts) == ours.encode_all(texts)
    assert theirs.end_ids == ours.end_ids
    found, expected = (read_chat_template(p) for p in (tmp_path / "saved", path))
    assert found is not None
    assert expected is not None
    assert (found.source, found.names) == (expected.source, expected.names)
