"""The lists of classes fit what is installed, and hold nothing that belongs to one run."""

from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import pytest
import yaml

from muster_node import class_archives
from provision.core.paths import PROJECT

LISTS = PROJECT / "roles/java/files"
VERSIONS = yaml.safe_load((PROJECT / "group_vars/all/versions.yml").read_text())["versions"]


@pytest.mark.parametrize("name", list(class_archives.COMPONENTS))
def test_the_lists_are_of_the_versions_that_are_installed(name: str) -> None:
    path = class_archives.class_list(Path("/opt", name), LISTS)
    made, *classes = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert made.startswith("# Made with ") and made.endswith(f"-{VERSIONS[name]}.jar"), (
        "a new version: make new lists (docs/contributing.md)"
    )
    assert len(classes) > 5_000 and not [line for line in classes if " source: " in line or " id: " in line]


def test_lists_of_several_jvms_are_joined(tmp_path: Path) -> None:
    (tmp_path / "a.lst").write_text("# made by Java\njava/lang/Object id: 0\norg/b/C id: 7\n")
    (tmp_path / "b.lst").write_text(
        "org/b/C id: 9\norg/own/D id: 1 super: 0 source: file:/x.jar\norg/e/F id: 3\n"
    )
    assert class_archives.merged(sorted(tmp_path.glob("*.lst"))) == "java/lang/Object\norg/b/C\norg/e/F\n"


def test_one_jar_names_all_others(tmp_path: Path) -> None:
    home = tmp_path / "hadoop"
    (home / "lib").mkdir(parents=True)
    for number in range(30):
        (home / "lib" / f"some-library-{number}.jar").touch()
    (home / "lib" / "the-largest.jar").write_text("content")
    class_archives.write_class_path(home, "lib")
    text = zipfile.ZipFile(class_archives.class_path(home)).read("META-INF/MANIFEST.MF").decode()
    assert max(map(len, text.split("\r\n"))) <= 72, "the longest line of a manifest"
    named = text.replace("\r\n ", "").split("Class-Path: ")[1].split()
    rest = sorted(f"lib/some-library-{number}.jar" for number in range(30))
    assert named == ["lib/the-largest.jar", *rest]


def test_an_archive_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    home = tmp_path / "spark"
    home.mkdir()
    (home / "spark.jsa").write_text("there")
    class_archives.dump(home, tmp_path / "no lists")
    assert (home / "spark.jsa").read_text() == "there"
