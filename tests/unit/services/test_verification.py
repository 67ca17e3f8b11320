"""What the nodes' proofs add up to."""

from __future__ import annotations

import json
from typing import Any

import pytest

from muster_node.proofs import elsewhere, firewall, programs
from muster_node.proofs.checks import checks
from muster_node.proofs.cluster import BUSY
from muster_node.proofs.plan import Plan, make
from provision.services.verification import ORDER, ending, merge, only_busy


def proof(name: str, ok: bool | None = True, found: Any = "fine", remedy: str = "") -> dict[str, Any]:
    return {"name": name, "ok": ok, "expected": 3, "found": found, "seconds": 1.5, "remedy": remedy}


def answer(*proofs: dict[str, Any]) -> dict[str, Any]:
    return {"rc": 0, "stdout": "a warning\n" + json.dumps({"checks": list(proofs)})}


def share(**changed: Any) -> dict[str, Any]:
    return {"files": 2, "read": 2, "rows": 10, "all_rows": {"train_16": 1437}, "wrong": []} | changed


def test_all_well() -> None:
    master = answer(
        proof("Settings"), proof("Spark"), proof("DataNodes"), proof("Deep learning"),
        proof("Data set", found=share()),
    )  # fmt: skip
    worker = answer(proof("Deep learning"), proof("Data set", found=share(files=3, read=1)))
    report = merge("retina", {"m": master, "w": worker}, made=1.0)
    assert (report.status, report.as_dict()["exit_status"], report.as_dict()["ready"]) == ("ready", 0, True)
    assert [check.name for check in report.checks] == [
        "DataNodes", "Spark", "Deep learning", "Data set", "Settings",
    ]  # fmt: skip
    assert report.checks[2].found == "2 of 2 nodes, fine"
    assert report.checks[3].found == "train_16 1,437 rows; 3 of 5 files read and compared, the others by size"
    assert report.verdict() == "retina is ready: 5 checks in 2 s"


@pytest.mark.parametrize(
    ("others", "fine"),
    [((), True), ((proof("HDFS", ok=False),), False), ((proof("HDFS", ok=None, found="no answer"),), False)],
)
def test_workers_at_work_are_told_from_what_is_wrong(others: tuple[dict[str, Any], ...], fine: bool) -> None:
    said = f"3 of 3 Workers are {BUSY}"
    report = merge("retina", {"m": answer(proof("Spark", ok=None, found=said), *others)}, made=1.0)
    assert only_busy(report) is fine
    assert report.status != "ready"


def test_ready_is_not_busy() -> None:
    assert not only_busy(merge("retina", {"m": answer(proof("Spark"))}, made=1.0))


def test_machines_that_compute_on_different_things_are_told_apart() -> None:
    answers = {
        "m": answer(proof("Deep learning", found="on cpu")),
        "g": answer(proof("Deep learning", found="on cuda")),
    }
    assert merge("retina", answers, made=1.0).checks[0].found == "2 of 2 nodes, on cpu; on cuda"


def test_the_report_has_every_proof_that_nodes_make() -> None:
    shares = [{"name": "x", "settings": {"kind": ""}}, {"name": "x", "folder": "/data"}]
    given = {"master": True, "deep_learning": True, "features": ["launcher", "tracking", "notebook"]}
    plans = [Plan.parse(given | {"dataset": dict(each)}) for each in shares]
    made = {each.name for plan in plans for each in checks(plan)} | {firewall.CHECK.name, elsewhere.NAME}
    assert made == set(ORDER)


@pytest.mark.parametrize(("gpus", "remedy"), [(1, "docs/ec2.md"), (0, "Run main.yml again")])
def test_what_does_not_compute_is_short_and_has_a_remedy(
    monkeypatch: pytest.MonkeyPatch, gpus: int, remedy: str
) -> None:
    def fail(*_: str, **__: object) -> str:
        raise RuntimeError("torch 2.6.0 on cpu; the machine's type has 1 GPU(s), torch sees none")

    monkeypatch.setattr(programs, "run", fail)
    (work,) = checks(Plan.parse({"wish": 1, "deep_learning": True, "dataset": {}, "gpus": gpus}))
    made = make(work)
    assert (made.ok, made.found) == (
        False,
        "torch 2.6.0 on cpu; the machine's type has 1 GPU(s), torch sees none",
    )
    assert remedy in made.remedy


def test_short_beats_unknown() -> None:
    report = merge(
        "retina",
        {"m": answer(proof("Spark", None), proof("Workers", False, "2; missing: w-2", "Look"))},
        made=1,
    )
    assert (report.status, report.as_dict()["exit_status"]) == ("short", 1)
    assert "Workers (2; missing: w-2)" in report.verdict()
    assert report.lines()[-1] == "Workers: Look"


def test_unknown() -> None:
    report = merge("retina", {"m": answer(proof("Spark", None, "busy"), proof("Workers"))}, made=1)
    assert (report.status, report.as_dict()["exit_status"]) == ("unknown", 2)
    assert merge("retina", {}, made=1).status == "unknown"


@pytest.mark.parametrize(
    "silent",
    [
        {"unreachable": True, "msg": "Failed to connect\nto the host"},
        {"rc": 1, "stdout": "", "stderr": "Traceback\nImportError: x"},
        {"stdout": "no json"},
        {},
    ],
)
def test_a_node_without_an_answer_is_short_and_named(silent: dict[str, Any]) -> None:
    report = merge("retina", {"m": answer(proof("Workers")), "retina-worker-1": silent}, made=1)
    assert report.status == "short"
    assert report.checks[0].name == "retina-worker-1"
    assert "\n" not in report.checks[0].found


def test_without_the_master_nothing_could_be_checked() -> None:
    away = {"unreachable": True, "msg": "Failed to connect to the host"}
    report = merge("retina", {"m": away, "w": answer(proof("Deep learning"))}, made=1)
    assert (report.status, report.as_dict()["exit_status"]) == ("unknown", 2)
    assert "m (Failed to connect to the host)" in report.verdict()


def test_damaged_files_are_named() -> None:
    nodes = {"m": answer(proof("Data set", False, share(wrong=["train_16/part-0.csv.gz: checksum differs"])))}
    assert merge("retina", nodes, made=1).checks[0].found == "train_16/part-0.csv.gz: checksum differs"


@pytest.mark.parametrize(
    "lie",
    [7, None, ["x"], [{}], [proof("HDFS") | {"seconds": "x"}], [proof("HDFS") | {"name": []}],
     [proof("HDFS") | {"seconds": 10**400}], [proof("HDFS") | {"seconds": float("nan")}],
     [proof("HDFS") | {"ok": "yes"}], [proof("Data set", found={})], [proof("Data set", found=share(files=10**4200))],
     [proof("Data set", found=share(all_rows={"train_16": "x"}))], [proof("Data set", found=share(files="x"))]],
)  # fmt: skip
def test_what_is_no_proof_proves_nothing(lie: Any) -> None:
    report = merge("retina", {"m": {"rc": 0, "stdout": json.dumps({"checks": lie})}}, made=1.0)
    assert report.status == "unknown"
    assert report.checks[0].found.startswith("the program gave no answer")


def test_what_python_cannot_take_in_proves_nothing() -> None:
    report = merge("retina", {"m": {"rc": 0, "stdout": "[" * 100_000}}, made=1.0)
    assert report.checks[0].found.startswith("the program gave no answer")


def test_machines_that_would_stay_at_their_end_are_short() -> None:
    fine, short, unknown = (
        ending([], seconds=0.1), ending(["w"], seconds=0.1), ending(None, why="no credentials", seconds=0.1)
    )  # fmt: skip
    assert ending(None, seconds=0.1) == ()
    answers = {"m": answer(proof("Spark"))}
    assert [merge("retina", answers, made=1.0, more=more).status for more in ((), fine, short, unknown)] == [
        "ready", "ready", "short", "unknown"
    ]  # fmt: skip
    report = merge("retina", answers, made=1.0, more=short)
    assert "w would stay and bill on" in report.verdict()
    assert report.lines()[-1] == "At their end: Run start_cluster.yml, which tells their provider"
