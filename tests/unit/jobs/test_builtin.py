"""The built-in jobs as the computer that submits sees them: parameters, and copies as a start."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from provision.core.errors import BadJob
from provision.core.paths import PROJECT
from provision.jobs import builtin
from provision.jobs.request import make_request

DECLARED = [
    name for name in builtin.builtin_jobs(PROJECT) if (PROJECT / "jobs" / name / "parameters.py").exists()
]


def test_wrong_parameters_are_refused_before_anything_is_sent():
    with pytest.raises(BadJob) as error:
        make_request("logistic_regression", root=PROJECT, args=["iteration=5"])
    assert str(error.value) == (
        "logistic_regression: unknown parameter 'iteration' (did you mean iterations?). "
        "./muster submit logistic_regression help lists its parameters"
    )
    assert make_request("logistic_regression", root=PROJECT, args=["iterations=5"]).args == ("iterations=5",)


@pytest.mark.parametrize("job", DECLARED)
def test_help_is_a_table(job):
    first, *rows = builtin.parameters_help(PROJECT, job).splitlines()
    assert first.split() == ["PARAMETER", "DEFAULT", "VALUES"] and len(rows) > 2


@pytest.mark.parametrize("job", DECLARED)
def test_parameters_are_read_where_only_muster_itself_is_installed(job):
    """Who submits has none of the libraries of jobs."""
    ours = [PROJECT / "jobs" / job, PROJECT / "jobs" / "common", PROJECT / "node"]
    code = f"import runpy, sys; sys.path[:0] = {[str(path) for path in ours]}; sys.argv[1:] = ['help']"
    run = f"{code}; runpy.run_path({str(ours[0] / 'parameters.py')!r}, run_name='__main__')"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", run], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0 and done.stdout.startswith("PARAMETER"), done.stderr


def test_what_has_no_parameters_says_which_jobs_have():
    with pytest.raises(BadJob, match="no job with parameters.*logistic_regression"):
        builtin.parameters_help(PROJECT, "hello")


@pytest.mark.parametrize("job", DECLARED)
def test_an_example_is_whole_and_is_a_folder_job(job, tmp_path):
    folder = tmp_path / "mine"
    names = builtin.write_example(PROJECT, job, folder)
    assert {"main.py", "parameters.py", "options.py"} <= set(names)
    assert make_request(f"{folder}/", root=PROJECT).kind == "folder"
    done = subprocess.run(
        [sys.executable, "-B", "parameters.py", "help"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.rstrip("\n") == builtin.parameters_help(PROJECT, job)
    with pytest.raises(BadJob, match="exists already"):
        builtin.write_example(PROJECT, job, folder)


def test_an_example_of_nothing_names_the_jobs(tmp_path):
    with pytest.raises(BadJob, match="is no built-in job.*logistic_regression"):
        builtin.write_example(PROJECT, "logistic", tmp_path / "mine")


@pytest.mark.parametrize("job", builtin.builtin_jobs(PROJECT))
def test_no_module_of_a_job_hides_a_shared_one(job):
    names = Counter(
        path.name for folder in ("common", job) for path in (PROJECT / "jobs" / folder).glob("*.py")
    )
    assert [name for name, count in names.items() if count > 1] == []
