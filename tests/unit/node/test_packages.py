"""A job's own packages never replace what the cluster runs on. pip is real; its packages are made here."""

from __future__ import annotations

import hashlib
import sys
import zipfile
from pathlib import Path

import pytest

from muster_node.queue import packages, records
from muster_node.queue.records import Refused

OWN = {"pyspark": "4.3.0", "py4j": "0.10.9.9"}
FROZEN = """\
# as frozen on a laptop
pyspark==3.5.4 \\
    --hash=sha256:00
Py4J == 0.10.9.7 ; python_version > "3"  # of pyspark
pyspark[sql]>=3
tabulate>=0.9
pyspark-tools==1
"""


@pytest.fixture
def spark(tmp_path: Path) -> Path:
    """What the cluster runs on."""
    for name, version in OWN.items():
        (tmp_path / "spark" / name).mkdir(parents=True)
        (tmp_path / "spark" / name / "version.py").write_text(f'__version__: str = "{version}"\n')
    return tmp_path / "spark"


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All that pip finds."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name, needs in (("plain", ""), ("pyspark", ""), ("onspark", "pyspark>=3.4"), ("onold", "pyspark<4")):
        with zipfile.ZipFile(folder / f"{name}-3.5.4-py3-none-any.whl", "w") as wheel:
            info = f"{name}-3.5.4.dist-info"
            needed = f"Requires-Dist: {needs}\n" if needs else ""
            wheel.writestr(
                f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 3.5.4\n{needed}"
            )
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
            wheel.writestr(f"{name}/__init__.py", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setattr(records, "ROOT", tmp_path)
    return folder


def install(spark: Path, text: str) -> tuple[list[str], str]:
    """Install a list; return what the driver finds then, and the log."""
    file, log = spark.parent / "requirements.txt", spark.parent / "log"
    file.write_text(text)
    with log.open("wb", buffering=0) as sink:
        try:
            made = packages.install(file, python=sys.executable, python_path=[str(spark)], log=sink)
        except Refused as error:
            sink.write(str(error).encode())
            return [], log.read_text()
    with zipfile.ZipFile(made / "site.zip") as shipped:
        top = {name.partition("/")[0] for name in shipped.namelist()}
    return sorted(name for name in top if not name.endswith(".dist-info")), log.read_text()


def test_lines_that_ask_for_the_clusters_own_are_left_out() -> None:
    kept, left_out = packages.without(FROZEN, OWN)
    assert kept == "# as frozen on a laptop\ntabulate>=0.9\npyspark-tools==1\n"
    assert left_out == [
        ("pyspark==3.5.4", "pyspark"),
        ("Py4J == 0.10.9.7", "py4j"),
        ("pyspark[sql]>=3", "pyspark"),
    ]


def test_the_versions_are_those_that_lie_there(spark: Path, tmp_path: Path) -> None:
    assert packages.versions([str(tmp_path), str(spark)]) == OWN


def test_another_pyspark_is_told_and_not_installed(spark: Path, index: Path) -> None:
    found, log = install(spark, "pyspark==3.5.4\nplain\n")
    assert found == ["plain"]
    assert log.splitlines() == [
        "requirements.txt: pyspark==3.5.4 is left out: jobs use the cluster's pyspark 4.3.0"
    ]


def test_a_package_that_needs_pyspark_is_content_with_the_clusters(spark: Path, index: Path) -> None:
    assert install(spark, "onspark\n") == (["onspark"], "")


def test_a_package_that_needs_an_older_one_is_refused(spark: Path, index: Path) -> None:
    found, log = install(spark, "onold\n")
    assert found == [] and "pyspark 4.3.0" in log and "could not be installed" in log


def test_lists_with_hashes(spark: Path, index: Path) -> None:
    wheels = [index / f"{name}-3.5.4-py3-none-any.whl" for name in ("plain", "onspark")]
    lines = [
        f"{w.name.split('-')[0]}==3.5.4 --hash=sha256:{hashlib.sha256(w.read_bytes()).hexdigest()}"
        for w in wheels
    ]
    assert install(spark, "\n".join(lines)) == (["onspark", "plain"], "")


def test_a_pyspark_under_another_name_is_refused(spark: Path, index: Path) -> None:
    with zipfile.ZipFile(index / "plain-3.5.4-py3-none-any.whl", "a") as wheel:
        wheel.writestr("pyspark/__init__.py", "")
    found, log = install(spark, "plain\n")
    assert (found, log) == (
        [],
        "a package of requirements.txt brings a pyspark of its own; the cluster's is 4.3.0",
    )


def test_the_same_list_is_installed_once(spark: Path, index: Path) -> None:
    for _ in range(2):
        install(spark, "plain\n")
    assert len(list((spark.parent / "deps").iterdir())) == 1
    (spark / "pyspark" / "version.py").write_text('__version__: str = "4.4.0"\n')
    install(spark, "plain\n")
    assert len(list((spark.parent / "deps").iterdir())) == 2
