"""Runs are one method if they differ in their seeds alone, and told apart otherwise."""

from pathlib import PurePosixPath

from made_results import made_member, made_result

from jaxprompt.runs.publish.methods import Finished, name_methods


def run(folder: str, task: str = "rte", seed: int = 0, **settings: str) -> Finished:
    member = made_member(task, seed, backbone=settings.pop("backbone", "t5-small"))
    trains = settings.pop("trains", "prompt")
    names = {
        "length": "PromptStart.length",
        "model": "Model.name",
        "text": "P.text",
        "loggers": "Run.loggers",
        "split": "Model.weights_over_data",
        "task_inputs": "TASK/OwnTask.inputs",
        "mine": "mine/OwnTask.inputs",
    }
    given = {names[name]: value for name, value in settings.items()}
    return Finished(
        PurePosixPath(folder),
        made_result(member, trains=trains),
        {"Run.seed": str(seed), **given},
    )


def names(*runs: Finished) -> dict[str, list[str]]:
    return {
        method.name: [str(run.folder) for run in method.runs]
        for method in name_methods(runs)
    }


def test_seeds_and_tasks_make_no_other_method():
    found = names(
        run("a", "rte", 0, length="20", text="x"),
        run("b", "rte", 1, length="20", text="x"),
        # Of another task: nothing says that this text is another method.
        run("c", "cb", 0, length="20", text="y"),
        run("d", "rte", 0, trains="model"),
    )
    assert found == {"prompt tuning": ["a", "b", "c"], "model tuning": ["d"]}


def test_where_a_run_is_computed_and_told_makes_no_other_method():
    found = names(
        run("a", seed=0, loggers="('tensorboard',)", split="False"),
        run("b", seed=1, loggers="('wandb',)", split="True"),
    )
    assert found == {"prompt tuning": ["a", "b"]}


def test_a_template_counts_whatever_its_scope_is_called():
    one = run("x/a", seed=0, task_inputs="text: {text}")
    other = run("x/b", seed=1, mine="review: {text}")
    assert list(names(one, other)) == ["prompt tuning, a", "prompt tuning, b"]
    same = run("x/c", seed=1, mine="text: {text}")
    assert names(one, same) == {"prompt tuning": ["x/a", "x/c"]}
    # One with two tasks tells them apart by their scopes, and lacks none of these.
    both = run("x/d", seed=2, task_inputs="text: {text}", mine="review: {text}")
    assert names(one, both) == {"prompt tuning": ["x/a", "x/d"]}


def test_runs_that_differ_are_named_by_what_their_folders_share():
    runs = [
        run(f"{task}/{length}/seed-{seed}", task, seed, length=length[3:])
        for task in ("rte", "cb")
        for length in ("len20", "len100")
        for seed in (0, 1)
    ]
    short, long = name_methods(runs)
    assert (short.name, long.name) == ("prompt tuning, len20", "prompt tuning, len100")
    assert [len(short.runs), len(long.runs)] == [4, 4]
    assert short.settings == {"PromptStart.length": "20"}
    assert long.settings == {"PromptStart.length": "100"}


def test_folders_that_share_nothing_are_listed():
    found = names(
        *(run(f"all/short-{seed}", seed=seed, length="20") for seed in range(5)),
        run("all/long", seed=0, length="100"),
    )
    assert list(found) == [
        "prompt tuning, all/short-0, all/short-1, all/short-2, 2 more",
        "prompt tuning, long",
    ]


def test_a_name_fits_no_run_of_another_method():
    found = names(
        run("x/a", seed=0, length="20"),
        run("x/b", seed=1, length="20"),
        run("x/c", seed=0, length="100"),
        run("y/c", seed=1, length="100"),
    )
    assert list(found) == ["prompt tuning, x/a, x/b", "prompt tuning, c"]


def test_the_same_seed_twice_is_two_methods():
    assert names(run("a"), run("b")) == {
        "prompt tuning, a": ["a"],
        "prompt tuning, b": ["b"],
    }


def test_scores_on_other_examples_are_two_methods():
    other = run("b", seed=1)
    fewer = {**other.result, "examples": 9}
    found = names(run("a"), Finished(other.folder, fewer, other.settings))
    assert list(found) == ["prompt tuning, a", "prompt tuning, b"]


def test_models_have_rows_of_their_own_and_need_no_other_name():
    found = names(
        run("a", model="t5-small"), run("b", model="t5-base", backbone="t5-base")
    )
    assert list(found) == ["prompt tuning"]
    # Two folders whose models are called the same are two models.
    found = names(run("a", model="x/model"), run("b", seed=1, model="y/model"))
    assert list(found) == ["prompt tuning, a", "prompt tuning, b"]


def test_a_scope_changes_nothing_about_what_is_free():
    one, other = run("a"), run("b", seed=1)
    placed = [
        Finished(r.folder, r.result, {**r.settings, "TASK/OfficialTask.data_dir": name})
        for r, name in ((one, "here"), (other, "there"))
    ]
    assert list(names(*placed)) == ["prompt tuning"]


def test_a_setting_that_one_part_alone_has_is_no_difference():
    found = names(run("a", text="x"), run("b", seed=1))
    assert list(found) == ["prompt tuning"]
