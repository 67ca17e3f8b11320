"""Action plugin: make, check or delete the cluster of the inventory file, with progress."""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsiblePromptNoninteractive
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from provision.cluster import sources
from provision.cluster.cluster import Cluster
from provision.cluster.ends import destroyed_words, stopped_words
from provision.cluster.open import open_cluster
from provision.core.errors import HostKeyUnknown, MusterError, PlanRefused
from provision.core.image_size import image_size
from provision.core.model import NodeState, Outcome
from provision.costs import offer
from provision.data.stores.keys import VAULT
from provision.plugins.config_of_run import config_of_run
from provision.providers.existing.host import approve, fingerprint
from provision.providers.facts import facts_in
from provision.state.timeline import ConsoleReporter

STATES = ("present", "absent", "stopped", "checked", "connected")


class ActionModule(ActionBase):
    """Arguments: state, scale_in (present), force (stopped and absent: also while a job runs).

    With `checked`, `lock` keeps other commands out and `image_size` is recorded as the size asked for.
    """

    _requires_connection = False
    _supports_check_mode = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Carry out the task; an error becomes one line."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        _, arguments = self.validate_argument_spec(
            argument_spec={
                "state": {"type": "str", "choices": list(STATES), "required": True},
                "scale_in": {"type": "bool", "default": False},
                "lock": {"type": "bool", "default": False},
                "force": {"type": "bool", "default": False},
                "image_size": {"type": "str"},
            }
        )
        try:
            cluster = open_cluster(
                config_of_run(task_vars or {}),
                reporter=ConsoleReporter(Display().display),
                vault=self._vault(task_vars or {}),
            )
            if arguments["state"] == "present":
                for facts in facts_in(cluster.spec):
                    facts.check_cancel(cluster.spec, task_vars or {})
            try:
                result |= _do(cluster, arguments, check_mode=self._task.check_mode)
            except HostKeyUnknown as error:
                if not _approved(error):
                    raise
                approve(cluster.state.folder, error.keys)
                result |= _do(cluster, arguments, check_mode=self._task.check_mode)
        except MusterError as error:
            result |= {"failed": True, "msg": str(error)}
        return result

    def _vault(self, task_vars: dict[str, Any]) -> dict[str, str]:
        """Return the secret variables that are given."""
        return {name: str(self._templar.template(task_vars[name])) for name in VAULT if name in task_vars}


def _do(cluster: Cluster, arguments: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    if arguments["state"] == "checked":
        return _checked(cluster, arguments, check_mode=check_mode)
    if arguments["state"] == "connected":
        cluster.view.require_passage()
        return {"changed": False}
    if arguments["state"] == "stopped":
        return _stopped(cluster, force=arguments["force"], check_mode=check_mode)
    if arguments["state"] == "absent":
        if check_mode:
            names = [node.name for node in cluster.view.nodes]
            if names:
                Display().display(f"would delete {', '.join(names)}")
            return {"changed": bool(names)}
        outcome = cluster.destroy(force=arguments["force"])
        Display().display(destroyed_words(cluster.spec, outcome))
        return _as_result(outcome)
    if check_mode:
        found = cluster.view.offer(scale_in=arguments["scale_in"])
        for line in [*offer.lines(found), *sources.warnings(cluster.spec)]:
            Display().display(line)
        if found.plan.refuse:
            raise PlanRefused(where=cluster.spec.name, what="; ".join(found.plan.refuse))
        for line in cluster.ready(found.plan):
            Display().display(line)
        return {"changed": not found.plan.empty}
    return _as_result(cluster.ensure(scale_in=arguments["scale_in"]))


def _checked(cluster: Cluster, arguments: dict[str, Any], *, check_mode: bool) -> dict[str, Any]:
    size = image_size(arguments["image_size"]) if arguments["image_size"] else None
    cluster.view.check()
    if arguments["lock"]:
        cluster.lock()
    if not check_mode:
        cluster.let_through()
        cluster.renew_store_keys()
    if size is not None and not check_mode:
        cluster.state.remember_image_size(size)
    return {"changed": False}


def _stopped(cluster: Cluster, *, force: bool, check_mode: bool) -> dict[str, Any]:
    if check_mode:
        names = [node.name for node in cluster.view.nodes if node.machine.state is not NodeState.STOPPED]
        Display().display(f"would stop {', '.join(names) or 'nothing'}")
    else:
        names = cluster.stop(force=force)
        for line in stopped_words(cluster.spec):
            Display().display(line)
    return {"changed": bool(names), "stopped": list(names)}


def _approved(error: HostKeyUnknown) -> bool:
    """Show host keys on the terminal and ask whether they are right; without a terminal they are not."""
    shown = "".join(f"  {address}  {fingerprint(key)}\n" for address, key in sorted(error.keys.items()))
    question = f"These hosts show host keys that are not known yet:\n{shown}Are they right? Then say yes: "
    try:
        answer = Display().prompt_until(question, complete_input=(b"\r", b"\n"))
    except AnsiblePromptNoninteractive:
        return False
    return bool(answer.strip().lower() == b"yes")


def _as_result(outcome: Outcome) -> dict[str, Any]:
    return {"changed": outcome.changed, **{key: list(names) for key, names in vars(outcome).items()}}
