"""Before machines that hold a part of HDFS are deleted: the others get a copy of every block there."""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Mapping, Sequence

from provision.cluster.run import Run
from provision.core.errors import CommandFailed, NotReady, Unreachable
from provision.core.model import Machine, Plan
from provision.core.names import MASTER
from provision.core.text import names_of
from provision.core.untrusted import is_number, parse_json
from provision.core.wait import until

PROGRAM = "/opt/muster/bin/muster-decommission"
SCRIPT = f"if [ -d /data/hdfs/name/current ]; then exec {PROGRAM} %s; else echo '{{}}'; fi"
"""A cluster whose HDFS was never formatted may not have the program yet."""
LOOK_S = 60.0
"""Seconds that one look may take: files may have to be told that they get fewer copies."""
STALLED_S = 900.0
"""Seconds without one more block copied; for 630 of them HDFS takes a DataNode that is off for living."""
SAY_EVERY_S = 10.0


def decommission(run: Run, plan: Plan) -> None:
    """Wait until nothing in HDFS is only on machines that are to be deleted; again, it goes on.

    Args:
        run: this verb's.
        plan: one that refuses nothing.

    Raises:
        NotReady: blocks cannot be copied, or nobody can tell. Nothing was deleted.
        OwnerGone: see `Run.guard`.
    """
    machines = [one for one in plan.decommission if one.address]
    known = run.state.targets() if machines else {}
    name = next((one.name for one in plan.keep if one.group == MASTER and one.name in known), None)
    if name is None:  # the cluster was never complete
        return
    watch = _Watch(run, machines)
    verbs = itertools.chain(["begin"], itertools.repeat("look"))

    def nothing_left() -> bool:
        run.guard()
        script = SCRIPT % shlex.join([next(verbs), *sorted(one.address for one in machines)])
        try:
            return watch.nothing_left(run.reach.ask_as_root(run.state, name, script, timeout_s=LOOK_S))
        except (CommandFailed, Unreachable) as error:
            raise watch.stuck(f"{name}: {error.what}") from error

    with run.reporter.phase("decommission", f"HDFS copies what is on {watch.names}"):
        until(nothing_left, deadline_s=float("inf"), interval_s=0.5)


class _Watch:
    """How far it is."""

    def __init__(self, run: Run, machines: Sequence[Machine]) -> None:
        self.names = names_of([one.name for one in machines])
        self._run = run
        self._of = {one.address: one.name for one in machines}
        self._last: Mapping[str, float] = {}
        self._moved = self._said = time.monotonic()

    def nothing_left(self, answer: str) -> bool:
        """Say whether it is done, as the program on the master answers. Raises NotReady."""
        found = parse_json(answer)
        if not isinstance(found, dict) or not isinstance(found.get("left", {}), dict):
            raise self.stuck("something else than Muster's program answers")
        if "error" in found:
            raise self.stuck(str(found["error"]))
        left = {str(at): blocks for at, blocks in found.get("left", {}).items() if is_number(blocks)}
        now = time.monotonic()
        if left != self._last:
            self._last, self._moved = left, now
        if now - self._moved > STALLED_S:
            raise self.stuck(f"no more was copied for {STALLED_S:g} s, left are {self._words()}")
        if left and now - self._said > SAY_EVERY_S:
            self._said = now
            self._run.reporter.say(f"left to copy: {self._words()}")
        return not left

    def stuck(self, why: str) -> NotReady:
        """Return the error for what cannot go on."""
        return NotReady(
            where=self.names,
            what=f"not deleted, as what HDFS has there could not be copied to the others: {why}",
            remedy="Put that right and run this again; start_cluster.yml in the old size keeps them",
        )

    def _words(self) -> str:
        return ", ".join(f"{self._of.get(at, at)} {blocks:g} blocks" for at, blocks in self._last.items())
