"""What the nodes' proofs add up to: one report, one table, one verdict. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from muster_node.proofs import elsewhere, features
from muster_node.proofs.cluster import BUSY
from provision.core.errors import one_line
from provision.core.text import last_line, table
from provision.core.untrusted import is_number, parse_json

COPIES = "Data copies"
"""The proof of nodes that have the whole set in a folder of their own."""
ORDER = (
    "Firewall", "DataNodes", "Workers", "HDFS", "Spark", "Deep learning", "Data set", "Settings", COPIES,
    elsewhere.NAME,
    *(title for title, *_ in features.PROOFS.values()),
)  # fmt: skip
"""The proofs of nodes as the report has them."""
READY, SHORT, UNKNOWN = "ready", "short", "unknown"
EXIT_STATUS = {READY: 0, SHORT: 1, UNKNOWN: 2}
WIDEST = 96
"""Characters of a cell of the table; the report has all of it."""


@dataclass(frozen=True)
class Check:
    """One proof. `ok` is None where nothing could be said; `remedy` is empty when it is fine."""

    name: str
    ok: bool | None
    expected: str
    found: str
    seconds: float
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """All proofs of a cluster. `made` is seconds since the epoch; `seconds` what the slowest proof took."""

    cluster: str
    made: float
    seconds: float
    checks: tuple[Check, ...]

    @property
    def status(self) -> str:
        """Short when anything is short, else unknown when anything could not be checked, else ready."""
        verdicts = [check.ok for check in self.checks]
        if False in verdicts:
            return SHORT
        return UNKNOWN if None in verdicts or not verdicts else READY

    def as_dict(self) -> dict[str, Any]:
        """Return the report as JSON types, with `status`, `ready` and `exit_status`."""
        return {
            "cluster": self.cluster,
            "status": self.status,
            "ready": self.status == READY,
            "exit_status": EXIT_STATUS[self.status],
            "made": self.made,
            "seconds": self.seconds,
            "checks": [asdict(check) for check in self.checks],
        }

    def lines(self) -> list[str]:
        """Return the report as a table; remedies follow what is short."""
        words = {True: "ok", False: "SHORT", None: "unknown"}
        rows = [(words[c.ok], c.name, c.expected, _cut(c.found), f"{c.seconds:.1f}") for c in self.checks]
        shown = table(("", "CHECK", "EXPECTED", "FOUND", "SECONDS"), rows).splitlines()
        return shown + [f"{check.name}: {check.remedy}" for check in self.checks if check.remedy]

    def verdict(self) -> str:
        """Return the report in one line."""
        if self.status == READY:
            return f"{self.cluster} is ready: {len(self.checks)} checks in {self.seconds:.0f} s"
        wrong = [f"{check.name} ({check.found})" for check in self.checks if not check.ok]
        what = "something is short" if self.status == SHORT else "could not be checked"
        return f"{self.cluster}: {what}: {'; '.join(wrong) or 'no node answered'}"


def ending(stays: Sequence[str] | None, *, why: str = "", seconds: float) -> tuple[Check, ...]:
    """Return the proof that machines are gone when their time is over, () where that is not to be proved.

    Args:
        stays: names of machines that would stay; None: not known.
        why: why it is not known, '' = it is not to be.
        seconds: how long it took to find out.
    """
    if stays is None and not why:
        return ()
    left = ", ".join(stays or ())
    return (
        Check(
            name="At their end",
            ok=None if stays is None else not stays,
            expected="machines are deleted",
            found=why or (f"{left} would stay and bill on" if left else "they are"),
            seconds=seconds,
            remedy="Run start_cluster.yml, which tells their provider" if left else "",
        ),
    )


def merge(
    cluster: str, answers: Mapping[str, Mapping[str, Any]], *, made: float, more: Sequence[Check] = ()
) -> Report:
    """Return the report of a cluster.

    Args:
        cluster: its name.
        answers: node -> what Ansible registered there (`stdout` with the program's JSON, or `unreachable`
            and `msg`).
        made: seconds since the epoch.
        more: what was proved from here.
    """
    proofs: dict[str, dict[str, dict[str, Any]]] = {}
    checks: list[Check] = []
    silent = {node: text for node, answer in answers.items() if (text := _silence(answer))}
    for node, answer in answers.items():
        if node not in silent:
            for proof in _said(answer)["checks"]:
                proofs.setdefault(proof["name"], {})[node] = proof
    counted = "DataNodes" in proofs or "Workers" in proofs
    for node, text in silent.items():
        checks.append(
            Check(
                name=node,
                ok=False if counted else None,  # a silent master: nobody can say what is short
                expected="an answer",
                found=text,
                seconds=0.0,
                remedy="See ./muster status",
            )
        )
    checks += [_join(name, proofs[name]) for name in ORDER if name in proofs]
    checks += more
    slowest = max((check.seconds for check in checks), default=0.0)
    return Report(cluster=cluster, made=made, seconds=slowest, checks=tuple(checks))


def only_busy(report: Report) -> bool:
    """Return True when nothing is short and only busy Workers kept anything from being checked."""
    unknown = [check for check in report.checks if check.ok is None]
    return report.status == UNKNOWN and bool(unknown) and all(BUSY in check.found for check in unknown)


def _cut(text: str) -> str:
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _silence(answer: Mapping[str, Any]) -> str:
    """Return why a node gave no answer, '' when it did."""
    if answer.get("unreachable"):
        return one_line(str(answer.get("msg", ""))).removeprefix("Task failed: ")[:200] or "unreachable"
    try:
        proofs = _said(answer)["checks"]
        sound = isinstance(proofs, list) and all(map(_sound, proofs))
    except (IndexError, KeyError, TypeError):
        sound = False
    if not sound:
        reason = last_line(str(answer.get("stderr") or answer.get("msg") or "nothing"))
        return f"the program gave no answer: {one_line(reason)[:200]}" if reason else "no answer"
    return ""


def _said(answer: Mapping[str, Any]) -> Any:  # noqa: ANN401  (whatever JSON a node says)
    return parse_json(str(answer.get("stdout", "")).splitlines()[-1])


def _sound(proof: Any) -> bool:  # noqa: ANN401  (whatever JSON a node says)
    """Say whether it is a proof."""
    if not isinstance(proof, dict) or not is_number(proof.get("seconds")):
        return False
    found = proof.get("found")
    share = not isinstance(found, dict) or (
        all(_is_count(found.get(key)) for key in ("files", "read"))
        and isinstance(found.get("wrong"), list)
        and isinstance(found.get("all_rows"), dict)
        and all(map(_is_count, found["all_rows"].values()))
    )
    texts = isinstance(proof.get("name"), str) and {"expected", "remedy"} <= proof.keys()
    return share and texts and proof.get("ok") in (True, False, None)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and is_number(value)


def _join(name: str, proofs: Mapping[str, Mapping[str, Any]]) -> Check:
    """Return one check for a proof that one or several nodes made."""
    verdicts = [proof["ok"] for proof in proofs.values()]
    ok = False if False in verdicts else None if None in verdicts else True
    first = next(iter(proofs.values()))
    found = str(first["found"])
    if name in ("Deep learning", "Firewall"):
        wrong = [f"{node}: {proof['found']}" for node, proof in proofs.items() if not proof["ok"]]
        kinds = "; ".join(dict.fromkeys(str(proof["found"]) for proof in proofs.values()))
        found = "; ".join(wrong) or f"{len(proofs)} of {len(proofs)} nodes, {kinds}"
    elif name == COPIES:
        fine = sum(proof["ok"] is True for proof in proofs.values())
        found = f"{fine} of {len(proofs)} nodes, " + "; ".join(
            dict.fromkeys(_data({node: proof}) for node, proof in proofs.items())
        )
    elif name == "Data set":
        found = _data(proofs)
    return Check(
        name=name,
        ok=ok,
        expected=str(first["expected"]),
        found=found,
        seconds=max(float(proof["seconds"]) for proof in proofs.values()),
        remedy=next((str(proof["remedy"]) for proof in proofs.values() if proof["remedy"]), ""),
    )


def _data(proofs: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the nodes found in their shares of the staged files."""
    shares: Sequence[Any] = [proof["found"] for proof in proofs.values()]
    unread = [share for share in shares if not isinstance(share, dict)]
    wrong = [str(text) for share in shares if isinstance(share, dict) for text in share["wrong"]]
    if unread or wrong:
        return "; ".join(dict.fromkeys([*map(str, unread), *wrong]))
    files, read = (sum(share[key] for share in shares) for key in ("files", "read"))
    rows = ", ".join(f"{part} {count:,} rows" for part, count in shares[0]["all_rows"].items())
    return f"{rows}; {read} of {files} files read and compared" + (
        ", the others by size" if read < files else ""
    )
