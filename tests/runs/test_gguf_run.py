"""A run on a GGUF file: from the gin name to its weights, and to a saved folder."""

from pathlib import Path

import numpy as np
import pytest
from gguf_files import SIZES, byte_pairs, draw_tensors, write_model

from jaxprompt.command.configure import configure
from jaxprompt.config import OwnTask
from jaxprompt.data.rows.layout import Lengths, layout_of
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
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


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
        template=CHATML,
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


def test_a_task_of_roles_has_its_soft_tokens_in_the_systems_turn(
    path: Path, tmp_path: Path
):
    (tmp_path / "rows.jsonl").write_text('{"text": "hm", "label": "yes"}\n')
    roles = {"system": "{slots:3}", "user": "Is it: {text}?"}
    task = OwnTask(
        name="asked",
        files={"train": str(tmp_path / "rows.jsonl")},
        roles=roles,
        target="label",
    )
    vocabulary = load_vocabulary(path, causal=True)
    loaded = task.load(vocabulary)
    (pair,) = loaded.pairs("train", [0])
    soft = np.arange(900, 903, dtype=np.int32)
    row = layout_of(loaded, Lengths(64, 8), soft).prompted(pair)
    front = vocabulary.encode("<|im_start|>system\n")
    behind = vocabulary.encode(
        "<|im_end|>\n<|im_start|>user\nIs it: hm?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert row.inputs[: len(front) + 3].tolist() == [*front, *soft]
    name = vocabulary.pieces.name
    written = [name(number) for number in row.inputs[len(front) + 3 :]]
    assert "".join(written) == "".join(name(number) for number in behind)
    assert row.targets.tolist() == [*vocabulary.encode("yes"), 2]
    assert "by the model's chat template: system '{slots:3}'" in task.told
    with pytest.raises(ValueError, match="has inputs 'x' and roles system, user"):
        OwnTask(name="both", inputs="x", roles=roles)


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
