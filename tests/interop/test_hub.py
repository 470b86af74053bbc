"""Files go to a Hub in one commit and come back verified, from one that errs too."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hub_server
import huggingface_hub
import pytest
from hub_server import Hub
from huggingface_hub import constants

from jaxprompt.interop.hub import download, find_cached, plan_upload, upload

# The Hub's client itself calls httpx in a way that httpx would rather not have.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

FILES = {
    "prompt.safetensors": b"soft" * 100,
    "README.md": b"---\nlibrary_name: peft\n---\n# a card\n",
    "result.json": b"{}",
}
BANK = {"prompts/a-0.safetensors": b"0" * 64, "prompts/a-1.safetensors": b"1" * 64}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    with hub_server.serve(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "work"
    path.mkdir()
    return path


def send(repo: str = "me/sst2", files: dict[str, bytes] | None = None, **options: Any):
    plan = plan_upload(repo, FILES if files is None else files, **options)
    return upload(plan, "A prompt")


def test_one_commit_holds_all_files_and_they_come_back(hub: Hub, folder: Path):
    commit = send()
    assert hub.files("me/sst2") == {".gitattributes": b"*.safetensors\n", **FILES}
    assert hub.repositories["me/sst2"].titles == ["A prompt"]
    found = download("me/sst2", folder)
    assert (found.commit, found.files, found.left_out) == (commit, FILES, ())


def test_planning_writes_nothing(hub: Hub):
    plan = plan_upload("me/sst2", FILES)
    assert plan.head is None
    assert plan.url == f"{hub.url}/me/sst2"
    assert hub.repositories == {}
    assert not hub.asked("POST")


def test_a_private_repository_is_private_and_its_token_stays_with_the_hub(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    send(private=True)
    assert hub.repositories["me/sst2"].private
    download("me/sst2", folder)
    # Large files come from another host, where the token has no business.
    assert hub.store_tokens == [""]
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(FileNotFoundError, match="none that who has no token may see"):
        download("me/sst2", folder)


def test_private_never_means_a_repository_that_all_can_see(hub: Hub):
    send()
    with pytest.raises(ValueError, match="me/sst2 is there already, and public"):
        send(private=True)


def test_another_prompt_is_replaced_only_if_asked_and_then_as_a_whole(hub: Hub):
    send()
    with pytest.raises(
        ValueError, match=r"already holds another prompt, prompt\.s.* say --overwrite"
    ):
        send(files=BANK)
    assert hub.files("me/sst2").keys() == {".gitattributes", *FILES}
    send(files=BANK, overwrite=True)
    assert hub.files("me/sst2").keys() == {".gitattributes", *BANK}
    assert len(hub.repositories["me/sst2"].titles) == 2


def test_the_same_prompt_goes_again_with_a_new_card(hub: Hub):
    send()
    card = b"---\nlibrary_name: peft\n---\n# a better card\n"
    prompt = {"prompt.safetensors": FILES["prompt.safetensors"]}
    send(files={**prompt, "README.md": card})
    assert hub.files("me/sst2")["README.md"] == card
    assert "result.json" in hub.files("me/sst2")
    # Half of what is there is another prompt, too.
    hub.make("me/bank", BANK)
    with pytest.raises(ValueError, match="another prompt, prompts/a-1"):
        send("me/bank", {"prompts/a-0.safetensors": BANK["prompts/a-0.safetensors"]})


def test_a_repository_of_something_else_is_left_alone(hub: Hub):
    hub.make("me/model", {"config.json": b"{}", "model.safetensors": b"weights"})
    with pytest.raises(ValueError, match=r"holds config\.json, and no prompt"):
        send("me/model")
    send("me/model", overwrite=True)
    assert hub.files("me/model")["model.safetensors"] == b"weights"


def test_a_branch_is_made_and_main_stays(hub: Hub, folder: Path):
    send()
    before = hub.files("me/sst2")
    commit = send(files=BANK, branch="five-seeds", overwrite=True)
    assert hub.files("me/sst2") == before
    found = download("me/sst2", folder, revision="five-seeds")
    assert (found.commit, found.files) == (commit, BANK)
    assert download("me/sst2", folder).files == FILES
    assert download("me/sst2", folder, revision=commit).files == BANK


def test_who_comes_second_is_told_and_overwrites_nothing(hub: Hub):
    send()
    plan = plan_upload("me/sst2", BANK, overwrite=True)
    hub.repositories["me/sst2"].commit({"prompt.safetensors": b"theirs"})
    with pytest.raises(ValueError, match="changed by someone else meanwhile"):
        upload(plan, "too late")
    assert hub.files("me/sst2") == {"prompt.safetensors": b"theirs"}


def test_who_may_not_write_is_told(hub: Hub, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(
        ValueError, match=r"may not write to you/x: .* write access to y"
    ):
        send("you/x")
    monkeypatch.setenv("HF_TOKEN", hub_server.READER)
    with pytest.raises(ValueError, match="this token may not write to me/sst2"):
        send()
    monkeypatch.setenv("HF_TOKEN", "hf_old")
    with pytest.raises(ValueError, match=r"refuses the token: .*/settings/tokens"):
        send()
    monkeypatch.delenv("HF_TOKEN")
    hub.log.clear()
    with pytest.raises(ValueError, match="no Hub token: set HF_TOKEN, or log in"):
        send()
    assert (hub.log, hub.repositories) == ([], {})


def test_what_is_not_there_is_told(hub: Hub, folder: Path):
    with pytest.raises(FileNotFoundError, match="no repository me/none at http"):
        download("me/none", folder)
    send()
    with pytest.raises(FileNotFoundError, match="no revision 'v2' of me/sst2"):
        download("me/sst2", folder, revision="v2")
    hub.fail("GET", "/api/models/me/sst2", 403, X_Error_Code="GatedRepo")
    with pytest.raises(ValueError, match="is gated: accept its terms at http"):
        download("me/sst2", folder)


def test_a_hub_that_is_down_or_away_is_told(
    hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    hub.fail("GET", "/api/models", 500)
    with pytest.raises(ValueError, match="answered 500, so it could not read me/sst2"):
        download("me/sst2", folder)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ValueError, match=r"no answer from http://127\.0\.0\.1:9 "):
        send()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    huggingface_hub.close_session()
    with pytest.raises(ValueError, match="HF_HUB_OFFLINE is set: unset it to read me/"):
        download("me/sst2", folder)


def test_a_passing_fault_passes(hub: Hub, folder: Path):
    hub.fail("PUT", "/large/", 500, times=1)
    send()
    assert hub.files("me/sst2")["prompt.safetensors"] == FILES["prompt.safetensors"]
    hub.cut.append("prompt.safetensors")
    assert download("me/sst2", folder).files == FILES
    assert len(hub.asked("GET /store/")) == 2


def test_an_upload_that_fails_is_told(hub: Hub):
    hub.fail("PUT", "/large/", 403)
    with pytest.raises(ValueError, match="this token may not write to me/sst2"):
        send()
    assert "prompt.safetensors" not in hub.files("me/sst2")


def test_a_commit_that_fails_leaves_the_repository_as_it_was(hub: Hub):
    send()
    before = hub.files("me/sst2")
    hub.fail("POST", "/commit/", 500)
    with pytest.raises(ValueError, match="answered 500, so it could not write to"):
        send(files=BANK, overwrite=True)
    assert hub.files("me/sst2") == before


@pytest.mark.parametrize("name", ["prompt.safetensors", "README.md"])
def test_what_is_not_what_its_hash_says_is_refused(hub: Hub, folder: Path, name: str):
    send()
    kind = "SHA-256" if name == "prompt.safetensors" else "git's SHA-1"
    hub.served[name] = FILES[name][:-1] + b"!"
    with pytest.raises(ValueError, match=rf"{name} is not the file .* \({kind} "):
        download("me/sst2", folder)


def test_a_file_that_stays_short_is_told(hub: Hub, folder: Path):
    send()
    hub.served["prompt.safetensors"] = FILES["prompt.safetensors"][:-1]
    with pytest.raises(ValueError, match=r"cannot read me/sst2 .* but has size 399 "):
        download("me/sst2", folder)


@pytest.mark.parametrize(
    "name",
    [
        "../prompt.safetensors",
        "prompts/../../a.safetensors",
        "/etc/passwd",
        "..\\a.json",
        "C:a.json",
        "prompts//a.safetensors",
        "./README.md",
        "a\n.md",
    ],
)
def test_names_that_lead_elsewhere_are_refused_before_anything_is_fetched(
    hub: Hub, folder: Path, name: str
):
    send()
    hub.listed.append(name)
    with pytest.raises(ValueError, match="which leads out of its folder: nothing"):
        download("me/sst2", folder)
    assert not hub.asked("/resolve/")
    assert [*folder.iterdir()] == []


def test_pickles_and_whole_models_are_never_fetched(hub: Hub, folder: Path):
    others = {
        "adapter_model.bin": b"pickle",
        "prompts/a.pt": b"pickle",
        "prompts/deep/b.safetensors": b"",
        "model.safetensors": b"weights",
        "run.py": b"",
    }
    hub.make("you/x", {**FILES, **others})
    found = download("you/x", folder)
    assert found.files == FILES
    assert set(found.left_out) == others.keys()
    asked = {line.rpartition("/")[2] for line in hub.asked("/resolve/")}
    assert asked == FILES.keys()


def test_what_holds_no_prompt_is_refused_before_anything_is_fetched(
    hub: Hub, folder: Path
):
    hub.make("you/model", {"README.md": b"#", "model.safetensors": b"weights"})
    with pytest.raises(ValueError, match=r"holds no prompt\.safetensors or prompts/"):
        download("you/model", folder)
    hub.make("you/lora", {"adapter_config.json": b"{}", "README.md": b"#"})
    with pytest.raises(ValueError, match="fetch an adapter of PEFT by `hf download`"):
        download("you/lora", folder)
    hub.make("you/large", FILES)
    hub.sizes["prompt.safetensors"] = 10**10
    with pytest.raises(ValueError, match="has 10,000,000,000 bytes, where 268,435,456"):
        download("you/large", folder)
    assert not hub.asked("/resolve/")


@pytest.mark.parametrize(
    "name", ["sst2", "https://huggingface.co/me/a", "me/a b", "/a"]
)
def test_names_of_no_repository_are_told(hub: Hub, folder: Path, name: str):
    with pytest.raises(ValueError, match="write it as name/repo, not as an address"):
        download(name, folder)
    with pytest.raises(ValueError, match="write it as name/repo, not as an address"):
        plan_upload(name, FILES)
    assert hub.log == []


@pytest.mark.parametrize("name", ["weights.bin", "../prompt.safetensors", "prompts/a"])
def test_only_files_of_a_prompt_are_sent(hub: Hub, name: str):
    with pytest.raises(ValueError, match="is no file of a prompt: rename it"):
        plan_upload("me/x", {**FILES, name: b""})
    assert hub.log == []


def test_the_cache_is_asked_without_the_network(hub: Hub):
    assert find_cached("me/model", None) is None
    assert find_cached("not a name", None) is None
    assert hub.log == []
    hub.make("me/model", {"config.json": b"{}"})
    huggingface_hub.snapshot_download("me/model")
    hub.log.clear()
    folder = find_cached("me/model", None)
    assert folder is not None
    assert (folder / "config.json").read_bytes() == b"{}"
    assert hub.log == []
