"""Every program that is called on a machine of a cluster, read from what calls it. Parsers, no lists.

A program is its path, or its name where the path is left to the shell. What cannot be read is its own text.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from provision.core.paths import PROJECT

ABSOLUTE = re.compile(r"(?<![\w/.}~*-])/(?:usr/)?s?bin/[\w.+-]+")
BUILTINS = frozenset(
    [
        ".",
        ":",
        "[",
        "break",
        "cd",
        "command",
        "continue",
        "echo",
        "eval",
        "exit",
        "export",
        "false",
        "getopts",
        "kill",
        "local",
        "printf",
        "pwd",
        "read",
        "return",
        "set",
        "shift",
        "test",
        "trap",
        "true",
        "ulimit",
        "umask",
        "unset",
        "wait",
        "done",
        "fi",
        "esac",
        "}",
        "]",
    ]
)
BEFORE_A_COMMAND = frozenset(
    ["if", "elif", "then", "else", "do", "while", "until", "!", "{", "(", "time", "&&", "||", ";", "|", "&"]
)
PREFIXES = frozenset(["env", "exec", "nice", "runuser", "setpriv", "sudo", "timeout", "xargs"])
RUN_LATER = frozenset(("OPEN",))
"""Here-documents that are scripts themselves."""


def of_shell(script: str, functions: frozenset[str] = frozenset()) -> Iterator[str]:
    """Yield the programs that a script calls; `functions` are its own."""
    script = re.sub(r"\\\n", " ", script)
    for tag, body in _heredocs(script):
        script = re.sub(rf"{re.escape(body)}\s*{tag}$", "", script, count=1, flags=re.MULTILINE)
        if tag in RUN_LATER:
            yield from of_shell(body)
    script = re.sub(r"\$\(\(.*?\)\)", "$IT", script)
    script = re.sub(r"(^|\s)#(\s|!).*", "", script, flags=re.MULTILINE)
    functions |= frozenset(re.findall(r"^\s*(\w+)\(\) \{", script, re.MULTILINE))
    for inner in list(_substitutions(script)):
        script = script.replace(f"$({inner})", "$IT", 1)
        yield from of_shell(inner, functions)
    for line in _joined(script):
        yield from (word for word in _of_line(line) if word not in functions)


def _heredocs(script: str) -> list[tuple[str, str]]:
    found = re.finditer(r"<<-?'?(\w+)'?[^\n]*\n(.*?\n)\s*\1$", script, re.MULTILINE | re.DOTALL)
    return [(match[1], match[2]) for match in found]


def _substitutions(script: str) -> Iterator[str]:
    """Yield what stands in `$(…)`, the outer ones."""
    for match in re.finditer(r"\$\((?!\()", script):
        depth, at = 1, match.end()
        while depth and at < len(script):
            depth += {"(": 1, ")": -1}.get(script[at], 0)
            at += 1
        yield script[match.end() : at - 1]


def _joined(script: str) -> Iterator[str]:
    """Yield lines; those within one quotation are one."""
    line = ""
    for part in script.splitlines():
        line = f"{line}\n{part}" if line else part
        try:
            shlex.split(line)
        except ValueError:
            continue
        yield line
        line = ""


def _of_line(line: str) -> Iterator[str]:  # noqa: C901, PLR0912  the states of a line are these
    lexer = shlex.shlex(line, posix=True, punctuation_chars="();|&<>")
    lexer.whitespace_split, lexer.commenters = True, ""
    expected, patterns, skip, prefixed = True, False, False, False
    words = list(lexer)
    for at, word in enumerate(words):
        if skip:
            skip = False
        elif word == "case":
            expected, patterns = False, True
        elif word in ("in", "esac"):
            expected, patterns = patterns and word == "in", False
        elif re.fullmatch(r"[();|&]+", word):
            expected, prefixed = True, False
        elif re.fullmatch(r"[<>]+&?", word):
            skip = True
        elif word in BEFORE_A_COMMAND:
            expected = words[at - 1] != "[" or word != "!"
        elif (
            (re.fullmatch(r"\d", word) and re.match("[<>]", "".join(words[at + 1 : at + 2])))
            or not expected
            or re.match(r"\w+=|.*\*", word)
            or words[at + 1 : at + 2] == [")"]
        ):
            continue
        elif word in PREFIXES:
            if word != "exec":
                yield word
            expected = prefixed = True
        elif word == "for":
            expected = False
        elif prefixed and re.match(r"[-$\d]", word):  # an argument of the prefix
            continue
        else:
            expected = False
            if word not in BUILTINS and not word.endswith("()"):
                yield word


def of_unit(text: str) -> Iterator[str]:
    """Yield the programs that a unit starts."""
    for line in re.findall(r"^Exec\w+=(.*)$", text.replace("\\\n", " "), re.MULTILINE):
        words = shlex.split(line.lstrip("-+!@:"))
        if not words:
            continue
        yield words[0]
        if words[0].endswith("sh") and "-c" in words:
            yield from of_shell(words[words.index("-c") + 1])


def of_python(path: Path) -> Iterator[str]:
    """Yield the programs that a module starts, and all absolute paths of programs that it names."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from ABSOLUTE.findall(node.value)
        elif isinstance(node, ast.Call) and _starts_something(node):
            yield _first(node.args[0], tree) or f"{path.name}: {ast.unparse(node.args[0])}"


def _starts_something(call: ast.Call) -> bool:
    if not call.args:
        return False
    if isinstance(call.func, ast.Attribute):
        return isinstance(call.func.value, ast.Name) and call.func.value.id == "subprocess"
    return isinstance(call.func, ast.Name) and call.func.id == "run" and isinstance(call.args[0], ast.List)


def _first(value: ast.expr, tree: ast.AST) -> str:
    """Return the first word of a command, '' when it cannot be read."""
    if isinstance(value, ast.List | ast.Tuple) and value.elts:
        return _first(value.elts[0], tree)
    if isinstance(value, ast.Starred):
        return _first(value.value, tree)
    if isinstance(value, ast.BinOp):
        return _first(value.left, tree)
    if isinstance(value, ast.Constant):
        return str(value.value)
    if isinstance(value, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(target, ast.Name) and target.id == value.id for target in targets):
                    return _first(node.value, tree)
    return ""


def of_tasks(value: Any) -> Iterator[str]:
    """Yield the programs that tasks call themselves."""
    if isinstance(value, list):
        for item in value:
            yield from of_tasks(item)
    elif isinstance(value, dict):
        for key, given in value.items():
            if key in ("ansible.builtin.command", "muster_run"):
                words = given.get("argv") or shlex.split(given["cmd"])
                if isinstance(words, list):
                    yield str(words[0])
                    yield from (word for word in words[1:] if ABSOLUTE.fullmatch(str(word)))
            elif key == "ansible.builtin.shell":
                yield from of_shell(given["cmd"])
            elif key == "validate":
                yield str(given[0])
            else:
                yield from of_tasks(given)


def of_cloud_config(document: dict[str, Any]) -> Iterator[str]:
    """Yield the programs of a user-data."""
    for command in [*document.get("bootcmd", []), *document.get("runcmd", [])]:
        words = command[3:] if command[0] == "cloud-init-per" else command
        yield from (command[0], words[0])
        if words[1:2] == ["-c"]:
            yield from of_shell(words[2])
            yield from of_unit(words[2])
    for file in document.get("write_files", []):
        yield from of_file(file["path"], file["content"])


def of_file(name: str, text: str) -> Iterator[str]:
    """Yield the programs of a file that is put on a machine, by what it is."""
    first = text.partition("\n")[0]
    if first.startswith("#!"):
        yield first.removeprefix("#!").split()[0]
    if re.match(r"#!\S*sh\b", first):
        yield from of_shell(text)
    elif ".service" in name:
        yield from of_unit(text)
    else:
        yield from ABSOLUTE.findall("\n".join(line for line in text.splitlines() if not line.startswith("#")))


def of_role(role: Path) -> Iterator[str]:
    """Yield the programs of a role: its tasks, templates and files."""
    for path in sorted((role / "tasks").glob("*.yml")) + sorted((role / "handlers").glob("*.yml")):
        yield from of_tasks(yaml.safe_load(path.read_text(encoding="utf-8")))
    for folder in ("files", "templates"):
        for path in sorted((role / folder).rglob("*")):
            if path.is_file() and path.suffix != ".gz":
                yield from of_file(path.name, path.read_text(encoding="utf-8"))


def packages_of(role: Path, versions: dict[str, str]) -> Iterator[str]:
    """Yield the Debian packages that a role installs."""
    defaults = role / "defaults" / "main.yml"
    known = yaml.safe_load(defaults.read_text(encoding="utf-8")) if defaults.exists() else {}
    known |= {f"{name}_version": version for name, version in versions.items()}

    def resolved(given: Any) -> Iterator[str]:
        if isinstance(given, list):
            for one in given:
                yield from resolved(one)
        elif lists := [name for name in re.findall(r"\w+", str(given)) if isinstance(known.get(name), list)]:
            for name in lists:
                yield from resolved(known[name])
        else:
            yield re.sub(r"\{\{ (\w+) \}\}", lambda part: str(known.get(part[1], part[0])), str(given))

    for path in (role / "tasks").glob("*.yml"):
        for task in _all_tasks(yaml.safe_load(path.read_text(encoding="utf-8"))):
            if "name" in task.get("ansible.builtin.apt", {}):
                yield from resolved(task["ansible.builtin.apt"]["name"])


def _all_tasks(tasks: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for task in tasks:
        yield task
        for inner in ("block", "rescue", "always"):
            yield from _all_tasks(task.get(inner, []))


def modules() -> set[str]:
    """Return Ansible's own modules that tasks for machines use."""
    texts = [path.read_text(encoding="utf-8") for path in (PROJECT / "roles").glob("*/*/*.yml")]
    return {
        name
        for text in texts
        for name in re.findall(r"^\s*(?:- )?(ansible\.builtin\.\w+):", text, re.MULTILINE)
    }
