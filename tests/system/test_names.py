"""Names and words of users arrive as they are: of programs, arguments, results, files, in whatever letters."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from provision.core.paths import PROJECT
from tests.system.runs import only_run, runs

WORDS = ["two words", "it's", "", "--flag=a b", "ü ☃", "$HOME", "*", '"q"', "-5"]
SHELL = 'printf "%s|" "$@" > "$MUSTER_RESULTS/words"; printf "%s" "$#" > "$MUSTER_RESULTS/count"\n'
PYTHON = """\
import os, pathlib, sys
(pathlib.Path(os.environ["MUSTER_RESULTS"]) / "words").write_text("".join(f"{word}|" for word in sys.argv[1:]))
"""
RESULTS = ("plain.txt", "naïve name.txt", "sub ☃/100% +#?;.txt")
INTERPRETER = """\
import json, os, pathlib, sys
from pyspark.sql import SparkSession
spark = SparkSession.builder.appName("who").getOrCreate()
there = spark.sparkContext.parallelize(range(12), 12).map(lambda _: __import__("sys").executable).distinct().collect()
(pathlib.Path(os.environ["MUSTER_RESULTS"]) / "who.json").write_text(json.dumps([sys.executable, *there]))
"""


def result(run, name: str) -> Path:
    return PROJECT / "results" / only_run(run) / name


def test_programs_and_arguments(ready, tmp_path):
    for name, program in (("my train v2.sh", SHELL), ("args (final).py", PYTHON), ("a;touch x.sh", SHELL)):
        file = tmp_path / name
        file.write_text(program)
        run = ready.muster("submit", str(file), "--", *WORDS).ok()
        assert result(run, "words").read_text().split("|")[:-1] == WORDS, run.report()
    assert not (tmp_path / "x.sh").exists()


def test_results_reach_hdfs_and_home(ready, tmp_path):
    program = tmp_path / "letters.sh"
    lines = [f'mkdir -p "$MUSTER_RESULTS/sub ☃"; echo it > "$MUSTER_RESULTS/{name}"' for name in RESULTS]
    program.write_text("\n".join(lines))
    run = ready.muster("submit", str(program)).ok()
    name = only_run(run)
    for one in RESULTS:
        assert (PROJECT / "results" / name / one).read_text() == "it\n"
    listed = ready.ssh(ready.master, f"hdfs dfs -ls -R /results/{name}").ok().answer
    assert all(Path(one).name in listed for one in RESULTS), listed


def test_what_hdfs_does_not_take_fails_by_name_and_takes_nothing_along(ready, tmp_path):
    program = tmp_path / "colon.sh"
    program.write_text(
        'echo a > "$MUSTER_RESULTS/a.txt"; echo g > "$MUSTER_RESULTS/g:colon.txt"; echo z > "$MUSTER_RESULTS/z.txt"'
    )
    run = ready.muster("submit", str(program))
    found = runs(ready)[only_run(run)]
    assert found["state"] == "failed" and "g:colon.txt" in found["reason"], found
    listed = ready.ssh(ready.master, f"hdfs dfs -ls /results/{only_run(run)}").ok().answer
    assert "a.txt" in listed and "z.txt" in listed, listed


def test_files_go_there_and_back(ready, tmp_path):
    sent = tmp_path / "naïve ☃ [1]:x.txt"
    sent.write_text("here")
    plain = shutil.copy(sent, tmp_path / "naïve ☃ [1].txt")
    ready.muster("put", str(sent), "master:").ok()
    ready.muster("put", str(plain), "hdfs:/tmp/").ok()
    try:
        ready.muster("get", f"hdfs:/tmp/{Path(plain).name}", str(tmp_path / "back")).ok()
        assert (tmp_path / "back").read_text() == "here" or (
            tmp_path / "back" / Path(plain).name
        ).read_text() == "here"
        assert "naïve ☃" in ready.ssh(ready.master, "hdfs dfs -ls /tmp; ls").ok().answer
    finally:
        ready.ssh(ready.master, "hdfs dfs -rm -skipTrash '/tmp/na*'; rm -f na*x.txt")


def test_a_command_that_means_files_of_this_computer_is_refused(ready, tmp_path):
    (tmp_path / "train.py").write_text("print('ran')\n")
    muster = str(PROJECT / "muster")
    run = ready.run([muster, "-i", str(ready.config), "submit", "python train.py --epochs 3"], cwd=tmp_path)
    run.refused(r"train\.py: is a file on this computer.*submit train\.py -- --epochs 3")
    failed = ready.muster("submit", "python3 -c 'raise SystemExit(3)' | tee out.txt")
    assert failed.status != 0, "of a pipe, the part that failed"
    ready.muster("submit", "python -c 'print(1)'").ok()


def test_driver_and_executors_are_one_python(ready, tmp_path):
    program = tmp_path / "who.py"
    program.write_text(INTERPRETER)
    run = ready.muster("submit", str(program)).ok()
    assert set(json.loads(result(run, "who.json").read_text())) == {"/opt/muster/venv/bin/python"}
