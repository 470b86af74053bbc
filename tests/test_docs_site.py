"""The docs site has every page, and every link of a page names what is there."""

import re
from collections.abc import Iterator
from typing import Any

import docs_site
import pytest
import yaml

import jaxprompt
from jaxprompt import runs
from jaxprompt.config import CONFIGURABLES
from jaxprompt.models.families import CONFIGS

PAGES = docs_site.pages()


def named(nav: Any) -> Iterator[str]:
    """The pages of a part of the navigation."""
    if isinstance(nav, str):
        yield nav
    elif isinstance(nav, dict):
        yield from named([*nav.values()])
    else:
        for part in nav:
            yield from named(part)


def test_the_navigation_names_every_page_once():
    site = yaml.safe_load((docs_site.REPOSITORY / "mkdocs.yml").read_text())
    assert sorted(named(site["nav"])) == sorted(PAGES.values())


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_links_to_is_there(page: str):
    for target in docs_site.linked(page):
        assert docs_site.place_of(target) is not None, target


def test_links_go_to_pages_of_the_site():
    turned = docs_site.with_site_links(
        "docs/nano.md",
        "[a](../README.md#decoders) [b](../gin/tasks/own.gin) [c](launch/slurm.sh) "
        "[d](notebooks/tune.ipynb) [e](https://x.org/a) [f](#here) [g](../gin/tasks)",
    )
    assert turned == (
        "[a](index.md#decoders) [b](files/gin/tasks/own.gin.md) [c](launch/slurm.sh) "
        "[d](notebooks/tune.md) [e](https://x.org/a) [f](#here) "
        "[g](files/gin/tasks/index.md)"
    )
    assert "(../index.md)" in docs_site.with_site_links(
        "docs/reference/index.md", "[x](../../README.md)"
    )
    assert docs_site.place_of("docs/gone.md") is None
    assert docs_site.place_of("gin/gone.gin") is None


def test_what_is_linked_to_is_shown():
    shown = docs_site.shown_files()
    assert {"gin/tasks", "gin/tasks/own.gin", "tools/side_by_side.py"} <= {*shown}
    assert "OwnTask.inputs" in docs_site.show_file("gin/tasks/own.gin")
    assert "- [own.gin](own.gin.md)" in docs_site.show_file("gin/tasks")


def test_the_reference_names_the_public_face_and_all_settings():
    text = "".join(docs_site.read_page(page) for page in PAGES if "/reference/" in page)
    names = re.findall(r"^::: jaxprompt\.([\w.]+)$", text, re.M)
    assert len(names) == len({*names})
    face = [name for name in jaxprompt.__all__ if name != "__version__"]
    of_runs = [f"runs.{name}" for name in runs.__all__]
    parts = {kind.__name__ for kind in {*CONFIGURABLES} - {*CONFIGS}}
    assert sorted(x for x in names if "." not in x) == sorted(face)
    assert sorted(x for x in names if x.startswith("runs.")) == sorted(of_runs)
    of_config = [x for x in names if x.startswith(("config.", "train."))]
    assert {x.rpartition(".")[2] for x in of_config} == parts
