"""Wait until this node's DataNode and Worker are registered, without starting a JVM."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from ansible.module_utils.basic import AnsibleModule

DOCUMENTATION = r"""
module: muster_registered
short_description: Wait until this node's daemons have joined the cluster
description:
  - Asks the NameNode's and the Spark Master's web pages until the node is listed alive and safe mode is off.
  - Then makes the folders in HDFS that are asked for, with owner and mode.
  - When the deadline passes, or a unit has failed for good, the message ends with the unit's last log lines.
author: Muster
options:
  units: {type: list, elements: str, required: true, description: Units of this node that take part.}
  address: {type: str, required: true, description: This node's private address.}
  name: {type: str, required: true, description: This node's name.}
  namenode_url: {type: str, required: true, description: Base address of the NameNode's pages.}
  master_url: {type: str, required: true, description: Base address of the Spark Master's pages.}
  folders:
    type: list
    elements: dict
    default: []
    description: Folders in HDFS as C(path), C(owner), C(group), C(mode).
    suboptions:
      path: {type: str, required: true, description: Absolute path.}
      owner: {type: str, required: true, description: User.}
      group: {type: str, required: true, description: Group.}
      mode: {type: str, required: true, description: Octal digits.}
  superuser: {type: str, default: hdfs, description: Who makes the folders.}
  deadline: {type: float, default: 120.0, description: Seconds.}
  interval: {type: float, default: 0.2, description: Seconds between two looks.}
"""
EXAMPLES = r"""
- name: Wait until every node has joined
  muster_registered:
    units: [hdfs-datanode, spark-worker]
    address: 10.0.0.2
    name: worker-1
    namenode_url: http://master:9870
    master_url: http://master:8080
"""
RETURN = r"""
seconds:
  description: How long it took.
  type: float
  returned: always
made:
  description: Folders that were made or given another owner or mode.
  type: list
  elements: str
  returned: always
"""

# What a node's own daemons answer on: a list on the master may be older than a restart.
OWN_PAGES = {"hdfs-datanode": ":9864/jmx?qry=java.lang:type=Runtime", "spark-worker": ":8081/json/"}
INFO = "/jmx?qry=Hadoop:service=NameNode,name=NameNodeInfo"
LOG_LINES = 12


def ask(url: str, method: str = "GET") -> dict[str, Any]:
    """A JSON answer. Raises OSError while the page cannot be had, ValueError when it is not JSON."""
    request = urllib.request.Request(url, method=method)  # noqa: S310  addresses of our own daemons
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        text = answer.read().decode()
    found = json.loads(text) if text.strip() else {}
    if not isinstance(found, dict):
        raise ValueError(f"{url} answered a {type(found).__name__}")
    return found


def datanode_joined(info: dict[str, Any], address: str) -> str:
    """'' when the NameNode lists the DataNode at `address` and is out of safe mode, else what is missing."""
    beans = info.get("beans") or [{}]
    live = json.loads(beans[0].get("LiveNodes") or "{}")
    if address not in {str(node.get("xferaddr", "")).rpartition(":")[0] for node in live.values()}:
        return "its DataNode is not registered with the NameNode"
    return "the NameNode is in safe mode" if beans[0].get("Safemode") else ""


def worker_joined(page: dict[str, Any], name: str, address: str) -> str:
    """'' when the Master lists a living Worker on this node, else what is missing."""
    for worker in page.get("workers", []):
        if worker.get("host") in (name, address) and worker.get("state") == "ALIVE":
            return ""
    return "its Worker is not registered with the Spark Master"


def missing(parameters: dict[str, Any]) -> tuple[str, str]:
    """(what this node still lacks, the unit to look at); ('', '') when all have joined."""
    name, address = parameters["name"], parameters["address"]
    for unit, page in OWN_PAGES.items():
        try:
            if unit in parameters["units"]:
                ask(f"http://{address}{page}")
        except (OSError, ValueError) as error:
            return f"its own page does not answer ({error})", unit
    try:
        if "hdfs-datanode" in parameters["units"]:
            what = datanode_joined(ask(parameters["namenode_url"] + INFO), address)
            if what:
                return what, "hdfs-datanode"
    except (OSError, ValueError) as error:
        unit = "hdfs-namenode" if "hdfs-namenode" in parameters["units"] else "hdfs-datanode"
        return f"the NameNode's page does not answer ({error})", unit
    try:
        if "spark-worker" in parameters["units"]:
            what = worker_joined(ask(parameters["master_url"] + "/json/"), name, address)
            if what:
                return what, "spark-worker"
    except (OSError, ValueError) as error:
        unit = "spark-master" if "spark-master" in parameters["units"] else "spark-worker"
        return f"the Spark Master's page does not answer ({error})", unit
    return "", ""


def failed_unit(units: list[str]) -> str:
    """The first unit that systemd has given up, '' when there is none."""
    run = subprocess.run(
        ["/usr/bin/systemctl", "is-failed", *units], capture_output=True, text=True, check=False
    )
    states = run.stdout.split()
    return next((unit for unit, state in zip(units, states, strict=False) if state == "failed"), "")


def last_lines(unit: str) -> str:
    """The last log lines of a unit."""
    command = ["/usr/bin/journalctl", "--no-pager", "-o", "cat", "-n", "300", "-u", unit]
    return telling(subprocess.run(command, capture_output=True, text=True, check=False).stdout)


def telling(log: str) -> str:
    """The last lines that may say why: no stack frames, nothing twice."""
    lines = [line for line in log.splitlines() if line.strip() and not line.startswith(("\tat ", "\t... "))]
    seen = dict.fromkeys(reversed(lines))
    return "\n".join(reversed(list(seen)[:LOG_LINES]))


def make_folders(parameters: dict[str, Any], check: bool) -> list[str]:
    """Make what is missing through WebHDFS; return the paths that were touched. Raises OSError."""
    base, touched = parameters["namenode_url"] + "/webhdfs/v1", []
    user = urllib.parse.urlencode({"user.name": parameters["superuser"]})
    for folder in parameters["folders"]:
        path = urllib.parse.quote(folder["path"])
        try:
            status = ask(f"{base}{path}?op=GETFILESTATUS&{user}")["FileStatus"]
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
            status = {}
        mode = folder["mode"].lstrip("0")
        same = (status.get("owner"), status.get("group"), status.get("permission"))
        if same == (folder["owner"], folder["group"], mode):
            continue
        touched.append(folder["path"])
        if check:
            continue
        ask(f"{base}{path}?op=MKDIRS&permission={mode}&{user}", "PUT")
        owner = urllib.parse.urlencode({"owner": folder["owner"], "group": folder["group"]})
        ask(f"{base}{path}?op=SETOWNER&{owner}&{user}", "PUT")
        ask(f"{base}{path}?op=SETPERMISSION&permission={mode}&{user}", "PUT")
    return touched


def main() -> None:
    """Entry point of the module."""
    text = {"type": "str", "required": True}
    folder = dict.fromkeys(("path", "owner", "group", "mode"), text)
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "str", "required": True},
            "address": text,
            "name": text,
            "namenode_url": text,
            "master_url": text,
            "folders": {"type": "list", "elements": "dict", "default": [], "options": folder},
            "superuser": {"type": "str", "default": "hdfs"},
            "deadline": {"type": "float", "default": 120.0},
            "interval": {"type": "float", "default": 0.2},
        },
        supports_check_mode=True,
    )
    parameters = module.params
    began = time.monotonic()
    what, unit = missing(parameters)
    while what and not module.check_mode:
        failed, waited = failed_unit(parameters["units"]), time.monotonic() - began
        if failed or waited > parameters["deadline"]:
            reason = f"{failed} has failed" if failed else f"{what} after {waited:.0f} s"
            lines = last_lines(failed or unit)
            module.fail_json(msg=f"{parameters['name']}: {reason}. Last lines of {failed or unit}:\n{lines}")
        time.sleep(parameters["interval"])
        what, unit = missing(parameters)
    made: list[str] = []
    if not what:
        try:
            made = make_folders(parameters, module.check_mode)
        except OSError as error:
            module.fail_json(msg=f"{parameters['name']}: a folder could not be made in HDFS: {error}")
    module.exit_json(changed=bool(made), made=made, seconds=round(time.monotonic() - began, 2))


if __name__ == "__main__":
    main()
