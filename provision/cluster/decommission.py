"""Before machines that hold a part of HDFS are deleted: the others get a copy of every block there."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from contextlib import suppress

from provision.cluster.run import Run
from provision.core.errors import CommandFailed, NotReady, Unreachable
from provision.core.model import Machine, Plan
from provision.core.names import MASTER, NODE_GROUPS
from provision.core.text import names_of
from provision.core.untrusted import is_number, parse_json
from provision.core.wait import until
from provision.ssh.pinning import known_key
from provision.state.folder import Target, target_of

PROGRAM = "/opt/muster/bin/muster-decommission"
SCRIPT = f"""if [ ! -e /etc/hadoop/hdfs-site.xml ]; then echo '{{"left": {{}}}}'
elif [ ! -x {PROGRAM} ]; then echo '{{"error": "Muster on the master is older than this command"}}'
else exec {PROGRAM} %s; fi"""
"""HDFS that was never configured holds nothing; the file is not on the data disk, which may be away."""
ASK_S = 120.0
"""Seconds that one question may take: files may have to be told that they get fewer copies."""
STALLED_S = 600.0
"""Seconds without one more block copied."""
LOOK_EVERY_S, BEGIN_EVERY_S = 0.5, 10.0


def decommission(run: Run, plan: Plan) -> None:
    """Wait until nothing in HDFS is only on machines that are to be deleted; again, it goes on.

    Args:
        run: this verb's.
        plan: one that refuses nothing.

    Raises:
        NotReady: blocks cannot be copied, or nobody can tell. HDFS is told that all machines stay.
        OwnerGone: see `Run.guard`.
    """
    leaving = plan.decommission
    master = next((one for one in plan.keep if one.group == MASTER), None)
    key = known_key(master, run.state.journal.read()) if master else ""
    if not leaving or master is None or not key:  # without its key nobody was ever on it
        return
    staying = [one for one in plan.keep if one.group in NODE_GROUPS]
    asking = _Asking(run, target_of(master, key), leaving, staying)
    with run.reporter.phase("decommission", f"HDFS copies what is on {asking.names}"):
        try:
            until(
                asking.nothing_left, deadline_s=float("inf"), interval_s=LOOK_EVERY_S, growth=1.1, longest_s=5
            )
        except NotReady:
            with suppress(CommandFailed, Unreachable):
                asking.ask("end")
            raise


class _Asking:
    """What the program on the master is asked, and how far it is."""

    def __init__(
        self, run: Run, master: Target, leaving: Sequence[Machine], staying: Sequence[Machine]
    ) -> None:
        self.names = names_of([one.name for one in leaving])
        self._run, self._master = run, master
        self._of = {one.address: one.name for one in leaving}
        self._staying = [one.address for one in staying]
        self._left: dict[str, float] = {}
        self._least: tuple[float, ...] = ()
        self._moved = time.monotonic()
        self._begun = float("-inf")

    def ask(self, verb: str) -> str:
        """Return what the program answers. Raises CommandFailed, Unreachable."""
        plan = {"verb": verb, "leaving": sorted(self._of), "staying": self._staying}
        script = SCRIPT % shlex.quote(json.dumps(plan))
        return self._run.reach.ask_as_root(self._run.state, self._master, script, timeout_s=ASK_S)

    def nothing_left(self) -> bool:
        """Say whether it is done. Raises NotReady, OwnerGone."""
        self._run.guard()
        now = time.monotonic()
        begins = now - self._begun > BEGIN_EVERY_S
        if begins:
            if self._left:
                self._run.reporter.say(f"left to copy: {self._words()}")
            self._begun = now
        try:
            self._left = self._read(self.ask("begin" if begins else "look"))
        except (CommandFailed, Unreachable) as error:
            raise self._stuck(f"{self._master.name}: {error.what}") from error
        least = (len(self._left), sum(self._left.values()))
        if not self._least or least < self._least:
            self._least, self._moved = least, now
        elif now - self._moved > STALLED_S:
            raise self._stuck(f"no more was copied for {STALLED_S:g} s, left are {self._words()}")
        return not self._left

    def _read(self, answer: str) -> dict[str, float]:
        """Return what is left, by address. Raises NotReady: what answers is not believed, or cannot do it."""
        found = parse_json(answer)
        if isinstance(found, dict) and "error" in found:
            raise self._stuck(str(found["error"]))
        left = found.get("left") if isinstance(found, dict) else None
        if not isinstance(left, dict) or not all(at in self._of and is_number(left[at]) for at in left):
            raise self._stuck("something else than Muster's program answers")
        return left

    def _stuck(self, why: str) -> NotReady:
        return NotReady(
            where=self.names,
            what=f"not deleted, as what HDFS has there could not be copied to the others: {why}",
            remedy="Run start_cluster.yml main.yml in the size of now, then this again",
        )

    def _words(self) -> str:
        return ", ".join(f"{self._of[at]} {blocks:g} blocks" for at, blocks in self._left.items())
