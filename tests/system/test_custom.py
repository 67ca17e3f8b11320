"""The user's own packages and set-up script on machines that exist."""

from __future__ import annotations

import pytest

HELD = """\
dpkg-query -W -f '${Status}\\n' hello; /opt/muster/venv/bin/python -c 'import iniconfig; print("imported")'
cat /var/tmp/set-up
"""


@pytest.mark.long
def test_changed_packages_and_setup_reach_a_machine_that_exists_once(small):
    small.playbook("start_cluster.yml").ok()
    script = small.folder / "setup.sh"
    script.write_text("echo first >> /var/tmp/set-up\necho the licence has run out >&2\nexit 3\n")
    small.write(packages={"apt": ["hello"], "pip": ["iniconfig"]}, setup=script.name)
    for _ in range(2):  # a failure is not taken for done
        failed = small.playbook("start_cluster.yml")
        failed.refused(rf"ended with status 3 on {small.master}; its last lines: the licence has run out")
    script.write_text("echo second >> /var/tmp/set-up\n")
    assert small.playbook("start_cluster.yml").ok().changed > 0
    found = small.ssh(small.master, HELD).ok().answer.split()
    assert found == ["install", "ok", "installed", "imported", "first", "first", "second"]
    again = small.playbook("start_cluster.yml").ok()
    assert again.changed == 0 and "set-up script" not in again.output, again.report()
