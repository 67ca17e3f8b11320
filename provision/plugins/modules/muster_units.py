"""Start, restart, reload or stop several systemd units at once, as their files and state ask for."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

DOCUMENTATION = r"""
module: muster_units
short_description: Bring several systemd units into a state, all at once
description:
  - C(started) enables and starts what does not run, restarts what runs on files older than those on disk or
    fails its C(proof), and reloads what has only newer C(reload_files). No start is waited for unless
    C(wait); all start together.
  - What has to be done follows from start times and file times, so an interrupted run loses no restart.
  - C(reloaded) does only the last of it. C(restarted) restarts all. C(stopped) stops and waits.
  - A unit with C(creates) does its work once; it is started where that is missing, and is not enabled.
author: Muster
options:
  units:
    type: list
    elements: dict
    required: true
    description: Units as C(name), C(files) (a restart takes them in) and C(reload_files).
    suboptions:
      name: {type: str, required: true, description: Name without C(.service).}
      files: {type: list, elements: path, default: [], description: Files read at the start.}
      reload_files: {type: list, elements: path, default: [], description: Files read at a reload.}
      creates: {type: str, default: "", description: Path or pattern of its work.}
      proof: {type: list, elements: str, default: [], description: Fails when its work was undone.}
  state:
    type: str
    choices: [started, reloaded, restarted, stopped]
    default: started
    description: What is wished.
  wait:
    type: bool
    default: false
    description: Whether to wait until all have started, which fails when one of them does not.
"""
EXAMPLES = r"""
- name: Start the daemons
  muster_units:
    units:
      - {name: hdfs-namenode, files: [/etc/hadoop/hdfs-site.xml], reload_files: [/etc/hadoop/dfs.include]}
"""
RETURN = r"""
actions:
  description: What was done to which unit, such as C(start hdfs-namenode).
  type: list
  elements: str
  returned: always
"""

PROPERTIES = "Id,ActiveState,UnitFileState,FragmentPath,InactiveExitTimestamp,StateChangeTimestamp"
UP = ("started", "restarted")


def parse_show(text: str) -> dict[str, dict[str, str]]:
    """`systemctl show` of several units: unit name -> property -> value."""
    texts = text.strip().split("\n\n")
    blocks = [dict(line.partition("=")[::2] for line in one.splitlines()) for one in texts]
    return {block["Id"].removesuffix(".service"): block for block in blocks if "Id" in block}


def seconds(stamp: str) -> float:
    """A time stamp of `systemctl show --timestamp=us+utc` as seconds since the epoch, 0 for none."""
    from datetime import datetime

    words = stamp.split()
    if len(words) < 3:
        return 0.0
    return datetime.fromisoformat(f"{words[1]}T{words[2]}+00:00").timestamp()


def newest(paths: list[str]) -> float:
    """Latest change of any of the files, in seconds since the epoch."""
    return max((Path(path).stat().st_mtime for path in paths if Path(path).exists()), default=0.0)


def found(pattern: str) -> bool:
    """Whether anything matches an absolute path whose last part may have wildcards."""
    path = Path(pattern)
    return any(path.parent.glob(path.name))


def undone(unit: Mapping[str, Any]) -> bool:
    """Whether somebody took back what the unit has done, which systemd does not see."""
    proof = unit["proof"]
    return bool(proof) and subprocess.run(proof, capture_output=True, check=False).returncode != 0


def decide_once(state: str, *, done: bool, failed: bool, active: bool) -> str:
    """The verb for a unit that does its work once, which is done or not."""
    if done:
        return "reset-failed" if failed else ""
    return "start" if state in UP and not active else ""


def decide(unit: Mapping[str, Any], shown: Mapping[str, str], state: str) -> str:
    """The one verb for a unit, '' when it is as wished."""
    active = shown.get("ActiveState") in ("active", "activating", "reloading")
    if state == "stopped":
        return "stop" if active else ""
    if unit["creates"]:
        done, failed = found(unit["creates"]), shown.get("ActiveState") == "failed"
        return decide_once(state, done=done, failed=failed, active=active)
    if state == "restarted":
        return "restart"
    if not active:
        return "start" if state == "started" else ""
    files = [*unit["files"], shown.get("FragmentPath", "")]
    began, changed = seconds(shown["InactiveExitTimestamp"]), seconds(shown["StateChangeTimestamp"])
    if state == "started" and (newest([path for path in files if path]) > began or undone(unit)):
        return "restart"
    if shown["ActiveState"] == "active" and newest(unit["reload_files"]) > changed:
        return "reload"
    return ""


def plan(
    units: Sequence[Mapping[str, Any]], shown: Mapping[str, Mapping[str, str]], state: str
) -> dict[str, list[str]]:
    """Return what is to be done, verb -> units, from what `systemctl show` says of each."""
    verbs: dict[str, list[str]] = {}
    for unit in units:
        if verb := decide(unit, shown.get(unit["name"], {}), state):
            verbs.setdefault(verb, []).append(unit["name"])
    if state in UP:
        names = [unit["name"] for unit in units if not unit["creates"]]
        off = [name for name in names if shown.get(name, {}).get("UnitFileState") != "enabled"]
        if off:
            verbs["enable"] = off
    return verbs


def carry_out(
    verbs: Mapping[str, list[str]], shown: Mapping[str, Mapping[str, str]], systemctl: Callable[..., object]
) -> None:
    """Do it, all units of a verb at once; starting is not waited for."""
    again = verbs.get("restart", [])
    for verb, wanted in (
        ("reset-failed", verbs.get("reset-failed", [])),
        ("enable", verbs.get("enable", [])),
        ("stop", verbs.get("stop", []) + again),  # waits: nobody shall take the old process for the new
        ("start", verbs.get("start", []) + again),
        ("reload", verbs.get("reload", [])),
    ):
        if wanted and verb == "start":
            # A unit that failed too often gets a new chance; one that never ran systemd may not have loaded.
            if tried := [name for name in wanted if shown.get(name, {}).get("ActiveState") != "inactive"]:
                systemctl("reset-failed", *tried)
            systemctl(verb, "--no-block", *wanted)
        elif wanted:
            systemctl(verb, *wanted)


def last_words(said: str) -> str:
    """What a unit printed last, when systemctl says that it failed; '' when it does not."""
    failed = re.search(r"Job for (\S+) failed", said)
    if not failed:
        return ""
    # What it printed itself, not what systemd says of it.
    command = ["/usr/bin/journalctl", "--boot", f"--unit={failed[1]}", "--lines=1", "--output=cat"]
    words = subprocess.run([*command, "_TRANSPORT=stdout"], capture_output=True, text=True, check=False)
    return f" Its last words: {words.stdout.strip()}" if words.stdout.strip() else ""


class SystemctlError(Exception):
    """`systemctl` refused, or a unit failed; the text says what it said."""


def systemctl(*arguments: str) -> str:
    """Return what systemctl prints. Raises SystemctlError."""
    done = subprocess.run(["/usr/bin/systemctl", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise SystemctlError(f"systemctl {' '.join(arguments)}: {said}{last_words(said)}")
    return done.stdout


def run(units: Sequence[Mapping[str, Any]], state: str, *, wait: bool, check: bool) -> dict[str, Any]:
    """Bring units into a state; return the result of the task.

    Args:
        units: each with all its keys, see the module's documentation.
        state: what is wished.
        wait: whether to wait until all have started.
        check: whether only to say what would be done.
    """
    names = [unit["name"] for unit in units]
    if not names:
        return {"changed": False, "actions": []}
    try:
        shown = parse_show(systemctl("show", "--timestamp=us+utc", f"--property={PROPERTIES}", *names))
        verbs = plan(units, shown, state)
        if not check:
            carry_out(verbs, shown, systemctl)
            if wait and state in UP:
                asked = [unit["name"] for unit in units if not (unit["creates"] and found(unit["creates"]))]
                systemctl("start", *asked)  # takes part in a start under way; nothing where all have started
    except SystemctlError as error:
        return {"failed": True, "msg": str(error)}
    actions = [f"{verb} {name}" for verb, wanted in verbs.items() for name in wanted]
    return {"changed": bool(actions), "actions": actions}
