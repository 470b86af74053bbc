"""Faults by ill will: files that would run code, read elsewhere or take all memory."""

import json
import os
import pickle
import random
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
from faults_setting import Done, Setting, call, expect

LOADS_CODE = {
    "an import": "import os",
    "an import from": "from os import system",
    "an import from a package of ours": "import jaxprompt.cli",
    "a call of the operating system": "STEPS = @os.system()",
    "a call of another library": "STEPS = @t5.data.utils.get_default_vocabulary()",
    "a setting of another library": "t5.data.utils.rename.x = 1",
    "a reference to a builtin": "STEPS = @eval()",
    "a setting of another module": "os.system.command = 'touch {marker}'",
    "an expression": "STEPS = __import__('os').system('touch {marker}')",
    "a macro that is code": "STEPS = %os.getcwd()",
    "a name of Python's": "__import__.name = 'os'",
}
"""What a gin file tries -> the line that it adds; {marker} is a file it would make."""


def load_code_by_gin(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Adds to a gin file each of the lines that would load or run code."""
    del draw
    marker = folder / "marker"
    for name, line in LOADS_CODE.items():
        gin = folder / "bad.gin"
        gin.write_text(f"{setting.gin.read_text()}\n{line.format(marker=marker)}\n")
        done = _train(gin, folder)
        expect(done.status == 1, f"{name} gave exit status {done.status}")
        done.refusal()
        _expect_nothing(folder, marker, name)


def load_code_by_setting(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Gives each of these on the command line."""
    del draw
    marker = folder / "marker"
    for value in ("@os.system()", "__import__('os')", "%x.y", "1\nimport os", "open()"):
        _train(setting.gin, folder, f"--gin.STEPS={value}").refusal()
        _expect_nothing(folder, marker, value)


def include_elsewhere(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Includes, at each level, a file that is no gin or that imports."""
    del draw
    other, gin = folder / "other.gin", folder / "bad.gin"
    other.write_text("import os\nSTEPS = 1\n")
    start = setting.gin.read_text()
    for included in (str(other), "/etc/hostname", "../../../../../etc/hostname"):
        gin.write_text(f"include {included!r}\n{start}")
        _train(gin, folder).refusal()
    expect(not (folder / "run").exists(), "it made a workdir")


class Payload:
    """A pickle that makes a file where it is unpickled."""

    def __init__(self, marker: Path):
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self._marker),)


def pickle_for_prompt(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Gives a pickle to every command that reads a prompt."""
    del draw
    marker = folder / "marker"
    content = pickle.dumps(Payload(marker))
    for name in ("prompt.safetensors", "prompt.pt", "prompt.bin", "prompt.npy"):
        path = folder / name
        path.write_bytes(content)
        for command in ("evaluate", "inspect"):
            call(command, f"--prompt={path}").refusal()
        flags = (f"--backbone={setting.model}", f"--output={folder / 'made'}")
        call("import", str(path), "--task=question", *flags).refusal()
        start = ("--gin.PROMPT_INIT='file'", f"--gin.PROMPT_FILE={str(path)!r}")
        _train(setting.gin, folder, *start).refusal()
        _expect_nothing(folder, marker, name)


def pickle_for_model(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Puts a pickle in the place of a model's weights, under either name."""
    del draw
    marker = folder / "marker"
    content = pickle.dumps(Payload(marker))
    for name in ("model.safetensors", "pytorch_model.bin"):
        model = _copy_model(setting, folder / name, weights=None)
        (model / name).write_bytes(content)
        _train(setting.gin, folder, f"--gin.MODEL={str(model)!r}").refusal()
        _expect_nothing(folder, marker, name)


def damage_prompt(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Cuts a prompt file, flips bits of its header, and gives it absurd headers."""
    whole = (setting.whole / "prompt.safetensors").read_bytes()
    for content in _damaged(whole, draw):
        path = folder / "prompt.safetensors"
        path.write_bytes(content)
        call("inspect", f"--prompt={path}", "--without_model").refusal()


def damage_model(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Does the same to a model's weights."""
    whole = (setting.model / "model.safetensors").read_bytes()
    for number, content in enumerate(_damaged(whole, draw)):
        model = _copy_model(setting, folder / str(number), weights=content)
        _train(setting.gin, folder, f"--gin.MODEL={str(model)!r}").refusal()
    expect(not (folder / "run").exists(), "it made a workdir")


def damage_json(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Cuts, nests and recodes a model's config.json and a run's result.json."""
    weights = (setting.model / "model.safetensors").read_bytes()
    config = (setting.model / "config.json").read_text()
    for number, content in enumerate(_damaged_json(config, draw)):
        model = _copy_model(setting, folder / f"model-{number}", weights=weights)
        (model / "config.json").write_bytes(content)
        done = _train(setting.gin, folder, f"--gin.MODEL={str(model)!r}")
        done.expect_refusal("config.json")
    expect(not (folder / "run").exists(), "it made a workdir")
    finished, page = folder / "finished", folder / "page.html"
    finished.mkdir()
    result = (setting.whole / "result.json").read_text()
    for content in _damaged_json(result, draw):
        (finished / "result.json").write_bytes(content)
        done = call("report", str(finished), f"--output={page}")
        done.expect_refusal("result.json")
    expect(not page.exists(), "it wrote a page")


REPOSITORIES = ("../../x", "/etc/passwd", "me/../x", "me/..", "C:\\me/x", "me/x\n/y")
"""Names that are no repository's."""


def name_repositories(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Asks for repositories whose names are paths: no Hub is asked for them."""
    del draw
    prompt = setting.whole / "prompt.safetensors"
    for name in REPOSITORIES:
        pulled = call("pull", f"--output={folder / 'made'}", name)
        pulled.expect_refusal("write it as name/repo")
        pushed = call("push", f"--prompt={prompt}", f"--repo={name}")
        pushed.expect_refusal("write it as name/repo")
    expect(list(folder.iterdir()) == [], "it wrote something")


def replace_through_a_link(setting: Setting, folder: Path, draw: random.Random) -> None:
    """Names as output a link to a folder of other things, and that folder itself."""
    del draw
    home, link = folder / "home", folder / "link"
    home.mkdir()
    (home / "thesis.tex").write_text("years")
    link.symlink_to(home)
    prompt = setting.whole / "prompt.safetensors"
    for place in (home, link):
        done = call(
            "export",
            str(prompt),
            "--format=peft",
            f"--output={place}",
            f"--backbone={setting.model}",
            "--overwrite",
        )
        done.refusal()
    expect((home / "thesis.tex").read_text() == "years", "a file of others is gone")
    expect([path.name for path in home.iterdir()] == ["thesis.tex"], "it wrote there")


def _damaged(whole: bytes, draw: random.Random) -> list[bytes]:
    """Returns what is left of a safetensors file, or pretends to be one."""
    (size,) = struct.unpack("<Q", whole[:8])
    flipped = bytearray(whole)
    # A bit within a name, a text or a number may leave a whole file.
    flipped[8 + draw.choice(_structure(whole[8 : 8 + size]))] ^= 0x04
    header = json.dumps(
        {"prompt": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 8]}}
    ).encode()
    return [
        b"",
        whole[: draw.randrange(1, 8)],
        whole[: draw.randrange(8, 8 + size)],
        whole[: draw.randrange(8 + size, len(whole))],
        bytes(flipped),
        struct.pack("<Q", 2**62) + whole[8:],
        struct.pack("<Q", 2**64 - 1) + whole[8:],
        struct.pack("<Q", len(header)) + header + bytes(8),
        np.random.default_rng(draw.randrange(2**32)).bytes(4096),
    ]


def _structure(text: bytes) -> list[int]:
    """Returns where JSON has quotes, and brackets and colons outside of texts."""
    found, is_text, is_escaped = [], False, False
    for place, byte in enumerate(text):
        if is_text and not is_escaped and byte == ord("\\"):
            is_escaped = True
            continue
        if byte == ord('"') and not is_escaped:
            is_text = not is_text
            found.append(place)
        elif not is_text and byte in b"{}:":
            found.append(place)
        is_escaped = False
    return found


def _damaged_json(whole: str, draw: random.Random) -> list[bytes]:
    """Returns what is left of a JSON object, or pretends to be one."""
    return [
        b"",
        whole[: draw.randrange(1, len(whole.rstrip()))].encode(),
        whole.encode("utf-16"),
        f"[{whole}]".encode(),
        whole.replace("{", '{"x": "\xe9", ', 1).encode("latin-1"),
        whole.replace("{", '{"x": 1, "x": 2, ', 1).encode(),
        whole.replace("{", '{"x": ' + "[" * 100_000, 1).encode(),
    ]


def _copy_model(setting: Setting, folder: Path, *, weights: bytes | None) -> Path:
    folder.mkdir()
    for path in setting.model.iterdir():
        if path.name != "model.safetensors":
            (folder / path.name).write_bytes(path.read_bytes())
    if weights is not None:
        (folder / "model.safetensors").write_bytes(weights)
    return folder


def _train(gin: Path, folder: Path, *flags: str) -> Done:
    return call("train", f"--gin_file={gin}", f"--workdir={folder / 'run'}", *flags)


def _expect_nothing(folder: Path, marker: Path, name: str) -> None:
    expect(not marker.exists(), f"{name} was run")
    expect(not (folder / "run").exists(), f"{name} made a workdir")
