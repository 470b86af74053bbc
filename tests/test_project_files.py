"""What stands beside the package says the same as the package."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections import Counter
from pathlib import Path

import yaml
from page_blocks import REPOSITORY, page

import jaxprompt

PROJECT = tomllib.loads(page("pyproject.toml"))["project"]


def test_every_file_names_one_version_one_licence_and_the_same_authors():
    citation = yaml.safe_load(page("CITATION.cff"))
    assert citation["version"] == PROJECT["version"] == jaxprompt.__version__
    assert citation["license"] == PROJECT["license"] == "Apache-2.0"
    (author,) = citation["authors"]
    assert [author] == PROJECT["authors"]
    site = yaml.safe_load(page("mkdocs.yml"))
    assert site["site_author"] == author["name"]
    assert site["site_description"] == PROJECT["description"]


def test_the_workflow_tries_every_python_that_is_named():
    told = "Programming Language :: Python :: 3."
    named = [x.rpartition(" ")[2] for x in PROJECT["classifiers"] if told in x]
    workflow = yaml.safe_load(page(".github/workflows/tests.yml"))
    assert workflow["jobs"]["test"]["strategy"]["matrix"]["python"] == named
    assert PROJECT["requires-python"] == f">={named[0]}"


def test_tests_run_without_pytorch():
    """It comes with the extra `parity`: `make test` has none."""
    asked = re.compile(r"^(import|from) (torch|peft)\b", re.MULTILINE)
    files = (REPOSITORY / "tests").rglob("*.py")
    assert [file.name for file in files if asked.search(file.read_text())] == []


def test_no_two_files_of_tests_have_one_name():
    """pytest imports them by their names alone, and takes the second for the first."""
    found = Counter(file.name for file in (REPOSITORY / "tests").rglob("test_*.py"))
    assert [name for name, count in found.items() if count > 1] == []


def test_the_name_of_a_type_stands_once_in_the_package():
    """Whoever looks for one finds one; what begins with "_" is of its file alone."""
    named = re.compile(r"^class ([A-Z]\w*)", re.MULTILINE)
    files = (REPOSITORY / "jaxprompt").rglob("*.py")
    found = Counter(name for file in files for name in named.findall(file.read_text()))
    assert [name for name, count in found.items() if count > 1] == []


def test_the_templates_of_issues_are_forms():
    folder = REPOSITORY / ".github" / "ISSUE_TEMPLATE"
    forms = [yaml.safe_load(file.read_text()) for file in folder.glob("*.yml")]
    forms = [form for form in forms if "body" in form]
    assert forms
    for form in forms:
        assert form["name"]
        assert form["description"]
        names = [field["id"] for field in form["body"]]
        assert len(names) == len({*names})


def test_the_container_gets_all_that_the_package_is_made_of(tmp_path: Path):
    text = page("Dockerfile")
    copied = re.findall(r"^COPY (.+) (\S+)$", text, re.M)
    assert copied
    for sources, target in copied:
        for source in sources.split():
            there, place = REPOSITORY / source, tmp_path / target
            if there.is_dir():
                shutil.copytree(there, place)
            else:
                shutil.copy(there, place)
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "made"]
    subprocess.run(build, cwd=tmp_path, check=True, capture_output=True)
    (wheel,) = (tmp_path / "made").glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in ("cli.py", "bundled/nano/spiece.model", "gin/runs/prompt_tuning.gin"):
        assert f"jaxprompt/{file}" in names
    known = set(PROJECT["optional-dependencies"])
    for extras in re.findall(r"EXTRAS=([\w,]+)", text):
        assert {*extras.split(",")} <= known
