"""Action part of `muster_files`: renders all templates here, sends them in one round trip."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from ansible._internal._templating import _template_vars
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from provision.plugins import on_node
from provision.plugins.action import muster_units as of_units
from provision.plugins.modules import muster_files, muster_units

KINDS = ("template", "file", "content", "directory", "link", "tree")
KEYS = frozenset((*KINDS, "dest", "owner", "group", "mode", "secret", "block", "vars", "validate", "compile"))


def check_entry(entry: Any) -> str:  # noqa: ANN401  it comes from a playbook and may be anything
    """Return what is wrong with an entry of `files` in a few words, '' when nothing is."""
    if not isinstance(entry, dict):
        return f"{entry!r} is not a dictionary"
    if not str(entry.get("dest", "")).startswith("/"):
        return f"dest must be an absolute path, not {entry.get('dest')!r}"
    if unknown := sorted(set(entry) - KEYS):
        return f"unknown key {unknown[0]}; known: {', '.join(sorted(KEYS))}"
    if sum(kind in entry for kind in KINDS) != 1:
        return f"needs exactly one of {', '.join(KINDS)}"
    if "compile" in entry and ("tree" not in entry or "owner" in entry):
        return "compile is for a tree of root's"
    if isinstance(entry.get("mode"), int):
        return f'mode must be a quoted octal number such as "0644", not {entry["mode"]}'
    return ""


def tree(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the folders and files below the folder `tree` of this machine as entries of their own."""
    source, dest = Path(entry["tree"]), Path(entry["dest"])
    if not source.is_dir():
        raise AnsibleActionFail(f"muster_files: {dest}: there is no folder {source}")
    rest = {key: entry[key] for key in entry if key not in ("tree", "dest", "mode", "compile")}
    entries = [rest | {"dest": str(dest), "directory": True}]
    for path in sorted(source.rglob("*")):
        if "__pycache__" not in path.parts:
            place = {"dest": str(dest / path.relative_to(source))}
            kind = {"directory": True} if path.is_dir() else {"content": path.read_text(encoding="utf-8")}
            entries.append(rest | place | kind)
            if entry.get("compile") and path.suffix == ".py":
                entries[-1]["compile"] = True
    return entries


class ActionModule(ActionBase):
    """Renders, then runs the module of the same name once."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the task; see the module's documentation."""
        task_vars = task_vars or {}
        result: dict[str, Any] = super().run(tmp, task_vars)
        entries = self._task.args.get("files")
        if not isinstance(entries, list) or set(self._task.args) - {"files", *of_units.ARGUMENTS}:
            raise AnsibleActionFail(
                f"muster_files takes files (a list), and as muster_units {', '.join(of_units.ARGUMENTS)}"
            )
        for entry in entries:
            if wrong := check_entry(entry):
                where = entry.get("dest", "") if isinstance(entry, dict) else ""
                raise AnsibleActionFail(f"muster_files: {where}: {wrong}")
        plain = [each for entry in entries for each in (tree(entry) if "tree" in entry else [entry])]
        arguments = {
            "entries": [self._rendered(entry, task_vars) for entry in plain],
            "check": self._task.check_mode,
            "diff": self._task.diff,
        }
        steps: list[tuple[ModuleType, dict[str, Any]]] = [(muster_files, arguments)]
        if "units" in self._task.args:
            wished = {key: self._task.args[key] for key in of_units.ARGUMENTS if key in self._task.args}
            steps.append((muster_units, of_units.checked(wished) | {"check": self._task.check_mode}))
        return result | on_node.run(self, *steps)

    def _rendered(self, entry: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        rest = {key: entry[key] for key in entry if key not in ("template", "file", "content", "vars")}
        if "content" in entry:
            return rest | {"content": str(entry["content"])}
        if "template" in entry:
            return rest | {"content": self._render(entry, task_vars | entry.get("vars", {}))}
        if "file" in entry:
            return rest | {
                "content": Path(self._find_needle("files", entry["file"])).read_text(encoding="utf-8")
            }
        return rest

    def _render(self, entry: dict[str, Any], task_vars: dict[str, Any]) -> str:
        name, dest = entry["template"], entry["dest"]
        source = Path(self._find_needle("templates", name))
        own = "ansible_managed" not in task_vars
        variables = task_vars | _template_vars.generate_ansible_template_vars(
            path=name, fullpath=str(source), dest_path=dest, include_ansible_managed=own
        )
        paths = [str(source.parent), *task_vars.get("ansible_search_path", []), self._loader.get_basedir()]
        templar = self._templar.copy_with_new_env(searchpath=paths, available_variables=variables)
        text = templar.template(
            trust_as_template(source.read_text(encoding="utf-8")),
            escape_backslashes=False,
            overrides={"trim_blocks": True, "lstrip_blocks": True},
        )
        return "" if text is None else str(text)
