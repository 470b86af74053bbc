"""What pages and docstrings tell a reader to type is what the program takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import docs_site
import numpy as np
import pytest
from page_blocks import REPOSITORY, blocks, example_of, page, run_code

from jaxprompt.bundled import resolve
from jaxprompt.command.configure import check_names, configure
from jaxprompt.command.flags import make_parser
from jaxprompt.data.tasks.choices import choice_task
from jaxprompt.data.tasks.own import file_task
from jaxprompt.data.vocabulary.vocabulary import load_vocabulary
from jaxprompt.prompts.file import save_prompt
from jaxprompt.prompts.prompt import make_prompt

NANO = Path(resolve("bundled:nano"))
PAGES = [name for name in docs_site.pages() if name.endswith(".md")]
ELSEWHERE = {"task.gin"}
"""gin files that a page has its reader write."""


def typed(name: str) -> Iterator[list[str]]:
    """The commands of a page's shell blocks, but for those that are left open."""
    for block in blocks(page(name), "sh"):
        text = block.replace("\\\n", " ").replace("${steps}", "10")
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if words and "..." not in words:
                yield words


@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_a_page_are_commands(name: str):
    parser = make_parser()
    for words in typed(name):
        if words[0] == "jaxprompt":
            flags = parser.parse_args(words[1:])
            files = vars(flags).get("gin_file") or []
            if files and not ELSEWHERE & {*files}:
                check_names(files, flags.settings)
        for tool in (word for word in words if re.fullmatch(r"tools/\S+\.py", word)):
            assert (REPOSITORY / tool).is_file()


@pytest.mark.parametrize("name", PAGES)
def test_the_python_of_a_page_is_python(name: str):
    for block in blocks(page(name), "python"):
        compile(block, name, "exec")


@pytest.mark.parametrize("name", ["docs/ppt.md", "docs/nano/pretraining.md"])
def test_the_gin_of_a_page_builds_its_run(name: str, tmp_path: Path):
    for block in blocks(page(name), "gin"):
        file = tmp_path / "page.gin"
        task = "TASK = @OwnTask()\nOwnTask.name = 'page'\nOwnTask.target = 'label'\n"
        whole = "Run." in block
        file.write_text(block if whole else task + block)
        defaults = [] if whole else ["gin/runs/prompt_tuning.gin"]
        made, _ = configure([*defaults, str(file)], [])
        if not whole:
            vocabulary = load_vocabulary(NANO / "spiece.model")
            assert made.data.task.load(vocabulary).labels


@pytest.mark.parametrize("make", [file_task, choice_task])
def test_the_example_of_a_docstring_makes_its_task(make, tmp_path: Path):
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "because", "so"]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    of_encoder = load_vocabulary(tmp_path, encoder_only=True)
    of_t5 = load_vocabulary(NANO / "spiece.model")
    vocabulary = of_encoder if make is choice_task else of_t5
    code = f"task = {example_of(make)}"
    found = run_code(code, vocabulary=vocabulary, **{make.__name__: make})
    assert found["task"].name


def test_a_model_card_loads_its_model():
    ours, _ = blocks(page("docs/nano/pretraining.md"), "python")
    assert "path/to/this/folder" in ours
    backbone = run_code(ours.replace("path/to/this/folder", str(NANO)))["backbone"]
    assert backbone.vocab_rows > 0


@pytest.fixture
def pytorch():
    """PyTorch and PEFT, which pages show beside this package."""
    pytest.importorskip("peft", reason="PEFT comes with the extra `parity`")
    return pytest.importorskip("torch", reason="it comes with the extra `parity`")


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A prompt of the nano, in the forms that pages read with other programs."""
    import jaxprompt as jp

    monkeypatch.chdir(tmp_path)
    backbone, _ = jp.load(NANO)
    width = backbone.config.width
    prompt = make_prompt(np.repeat(np.float32([[0.1], [0.2]]), width, axis=1))
    save_prompt("p.safetensors", prompt, backbone, task="page")
    return width


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_pages_read_our_models_and_prompts_with_pytorch(pytorch, exported: int):
    from jaxprompt.runs import export_prompt

    export_prompt([Path("p.safetensors")], Path("my_adapter"), form="peft")
    form = "sst2-embeds.safetensors"
    export_prompt([Path("p.safetensors")], Path(form), form="vllm")
    _, card = blocks(page("docs/nano/pretraining.md"), "python")
    names = run_code(card.replace("path/to/this/folder", str(NANO)))
    adapter, vllm = blocks(page("docs/interchange.md"), "python")
    found = run_code(adapter.replace("google/t5-base-lm-adapt", str(NANO)))
    assert found["model"].prompt_encoder["default"].embedding.weight.shape[0] > 0
    (hub,) = blocks(page("docs/hub.md"), "python")
    hub = hub.replace("google/t5-small-lm-adapt", str(NANO))
    run_code(hub.replace("me/sst2-prompt", "my_adapter"))
    start = "import io, safetensors.torch, torch\n"
    found = run_code(start + vllm, **{**names, "text": "a film"})
    found["buffer"].seek(0)
    embeds = pytorch.load(found["buffer"], weights_only=True)
    assert embeds.shape[1] == exported
    assert embeds[:2, 0].tolist() == pytest.approx([0.1, 0.2])
