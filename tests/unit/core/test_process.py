from __future__ import annotations

import pytest

from provision.core.process import Process


@pytest.mark.parametrize(
    ("command", "program", "shown"),
    [
        ("/a b/.venv/bin/python -I -m provision.cli up -n 5", "muster", "muster up -n 5"),
        (
            "/x/python -P -m ansible.cli.playbook -i /x/inventories/local.yml main.yml",
            "ansible-playbook",
            "ansible-playbook -i local.yml main.yml",
        ),
        ("/x/python3 /x/bin/ansible-playbook main.yml", "ansible-playbook", "ansible-playbook main.yml"),
        ("/usr/bin/python3 /x/tool.py --fast", "", "tool.py --fast"),
        ("sleep 60", "", "sleep 60"),
    ],
)
def test_a_command_is_shown_as_it_was_typed(command: str, program: str, shown: str) -> None:
    process = Process(pid=1, start="", parent=0, command=command)
    assert (process.program, process.shown) == (program, shown)
