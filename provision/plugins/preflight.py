"""What a run of Ansible may not be given: it would do something else than asked, or nothing, and end well."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from provision.config.wish import VARIABLES
from provision.core.errors import MusterError
from provision.core.paths import PROJECT

ENVIRONMENT = tuple(
    f"ANSIBLE_{name}"
    for name in (
        *("ROLES_PATH", "LIBRARY", "ACTION_PLUGINS", "FILTER_PLUGINS", "CONNECTION_PLUGINS", "STRATEGY"),
        *("BECOME_METHOD", "BECOME_USER", "BECOME_EXE", "BECOME_FLAGS", "TRANSPORT", "EXECUTABLE"),
        *("HOST_KEY_CHECKING", "SSH_ARGS", "SSH_COMMON_ARGS", "SSH_EXTRA_ARGS", "SSH_EXECUTABLE"),
    )
)
"""Variables of other work that take this project's parts away, or its way to the machines."""
SELECTORS = {
    "subset": "--limit",
    "tags": "--tags (or ANSIBLE_RUN_TAGS)",
    "skip_tags": "--skip-tags (or ANSIBLE_SKIP_TAGS)",
    "start_at_task": "--start-at-task",
}
READ = {
    "start_cluster.yml": {*VARIABLES, "SCALE_IN"},
    "main.yml": {*VARIABLES, "IMAGE_SIZE"},
    "hadoop.yml": {*VARIABLES, "IMAGE_SIZE"},
    "verify.yml": {*VARIABLES, "IMAGE_SIZE"},
    "ingest.yml": {"SOURCE", "DETACH"},
    "submit.yml": {"JOB", "PARAMS", "ARGS", "DEPS", "CLASS", "IMAGE_SIZE", "ON", "ON_CORES", "ON_MEMORY"},
    "sweep.yml": {"SWEEP"},
    "stop_cluster.yml": {"FORCE"},
    "destroy_cluster.yml": {"FORCE"},
}
"""Which public names each playbook at the root reads."""
_LISTING = ("listhosts", "listtasks", "listtags", "syntax")


def check_environment(environ: Mapping[str, str]) -> None:
    """Raise MusterError, in one line, when a variable changes what this project's playbooks do."""
    found = [name for name in ENVIRONMENT if environ.get(name)]
    if found:
        raise MusterError(
            what="set in the environment, with which this project cannot work",
            where=", ".join(found),
            remedy=f"Unset it (unset {' '.join(found)}), or use ./muster, which leaves it out",
        )


def check_selectors(options: Mapping[str, Any]) -> None:
    """Raise MusterError when a playbook of this project is to do a part of what it is for.

    Its plays work on the whole cluster, from localhost; with a selector most of them would be passed over.

    Args:
        options: of ansible-playbook, by their names in Ansible.
    """
    books = [Path(book).name for book in options.get("args") or () if _is_ours(Path(book))]
    given = [words for name, words in SELECTORS.items() if _selects(options.get(name))]
    if books and given:
        raise MusterError(
            what=f"cannot be given {given[0]}: it works on the whole cluster, and has no tags",
            where=books[0],
            remedy="Leave it out: what is done is not done again"
            + (". For HDFS and Spark alone run hadoop.yml" if books[0] == "main.yml" else ""),
        )


def unread(options: Mapping[str, Any], given: Iterable[str]) -> list[str]:
    """Return, a line each, the public names given with -e that none of the playbooks of this run reads.

    Args:
        options: of ansible-playbook, by their names in Ansible.
        given: the names.
    """
    books = [Path(book).name for book in options.get("args") or ()]
    if not books or any(book not in READ for book in books):
        return []
    read = {name for book in books for name in READ[book]}
    public = {name for names in READ.values() for name in names}
    return [f"-e {name} means nothing to {', '.join(books)}" for name in sorted((public & set(given)) - read)]


def _selects(value: str | Sequence[str] | None) -> bool:
    """Say whether a selector leaves anything out."""
    return bool(value) and value != "all" and list(value or ()) != ["all"]


def is_listing(options: Mapping[str, Any]) -> bool:
    """Say whether nothing will be run (`--list-tasks`, `--syntax-check` and the like)."""
    return any(options.get(name) for name in _LISTING)


def _is_ours(book: Path) -> bool:
    """Say whether this is one of playbooks/, or at the project's root one that names one of these."""
    try:
        text = book.read_text(encoding="utf-8")
    except (OSError, ValueError, TypeError):
        return False
    folders = book.resolve().parents
    return PROJECT / "playbooks" in folders or (
        folders[0] == PROJECT and "import_playbook: playbooks/" in text
    )
