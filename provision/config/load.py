"""Config file (which is the inventory file too) -> ClusterSpec.

Every error is one line with file, key path, what is wrong and what to do.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from provision.config.explain import explain
from provision.config.models import ConfigBase, ConfigFile, GroupModel, PackagesModel
from provision.config.wish import SIZE_VARIABLE, scaled, size_of
from provision.core.errors import ConfigError
from provision.core.names import EXPERIMENT, MASTER, WORKER
from provision.core.paths import project_root
from provision.core.spec import (
    BUILT_IN,
    DIGITS,
    Budget,
    ClusterSpec,
    DatasetSpec,
    DeadlinesSpec,
    Duration,
    NodeGroup,
    ObjectStoreSpec,
    Packages,
    Preparation,
)
from provision.planning.sites import too_small
from provision.providers.ec2.config import Ec2Block
from provision.providers.facts import facts_of


class _Loader(yaml.SafeLoader):
    """YAML without tags, where a key that is given twice is an error instead of silently the last one."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: dict[Any, int] = {}
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        line = key_node.start_mark.line + 1
        if isinstance(key, str | int | float | bool) and key in seen:
            raise yaml.constructor.ConstructorError(
                None, None, f"{key!r} is given twice, in lines {seen[key]} and {line}", key_node.start_mark
            )
        if isinstance(key, str | int | float | bool):
            seen[key] = line
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


def load_config(path: Path, extra: Mapping[str, Any] | None = None) -> ClusterSpec:
    """Read and validate the config file `path`; `extra` are Ansible's `-e` values (only wishes are used).

    Raises:
        ConfigError: the file or a value is wrong; the text is one line.
    """
    shown = _shown(path)
    data = _read(path, shown)
    try:
        parsed = ConfigFile.model_validate(data)
    except ValueError as error:
        raise explain(error, shown, ConfigFile) from error
    _no_second_file(path, shown, parsed.cluster)
    nodes, given = parsed.nodes, False
    if extra and extra.get(SIZE_VARIABLE) is not None:
        nodes, given = size_of(extra[SIZE_VARIABLE]), True
        try:  # the limits of `nodes` in the file
            ConfigFile.model_validate(data | {"nodes": nodes})
        except ValueError as error:
            raise explain(error, f"-e {SIZE_VARIABLE}={nodes}", ConfigFile) from error
    root = project_root(path.parent)
    folders = (path.resolve().parent, root)
    spec = ClusterSpec(
        name=parsed.cluster,
        provider=parsed.provider,
        nodes=nodes,
        groups=tuple(
            _group(name, model, parsed, shown, folders) for name, model in parsed.groups_in_order().items()
        ),
        object_store=_object_store(parsed),
        dataset=_dataset(parsed, shown, folders),
        features=tuple(parsed.features),
        packages=_packages(parsed.packages),
        setup=_script(parsed.setup, shown, "setup", folders),
        access=dict(parsed.access),
        path=path.resolve(),
        allow_from=tuple(parsed.allow_from),
        ttl=Duration(parsed.ttl),
        autostop=Duration(parsed.autostop),
        budget=Budget(**dict(parsed.budget)),
        wait_for_capacity=Duration(parsed.wait_for_capacity),
        deadlines=DeadlinesSpec(**dict(parsed.deadlines)),
        blocks=parsed.blocks(),
        nodes_given=given,
    )
    for key, what in too_small(spec).items():
        raise ConfigError(file=shown, key=key, what=what)
    return scaled(spec, extra or {})


def is_config(path: Path) -> bool:
    """Return True when `path` looks like one of our config files (it names the inventory plugin)."""
    if path.suffix not in {".yml", ".yaml"}:
        return False
    try:
        return bool(re.search(r"^plugin:\s*['\"]?cluster\b", path.read_text(encoding="utf-8"), re.MULTILINE))
    except (OSError, UnicodeDecodeError):
        return False


def require_dataset(spec: ClusterSpec) -> None:
    """Raise ConfigError, in one line, when the data set's folder is not there."""
    source = spec.dataset.source
    if source not in ("", *BUILT_IN) and not Path(source).is_dir():
        raise ConfigError(
            file=_shown(spec.path),
            key="dataset.source",
            what=f"there is no folder {source!r}",
            remedy="Name an existing folder of images (relative to this file or the project), or one of: "
            f"{', '.join(BUILT_IN)}",
        )


def _shown(path: Path) -> str:
    """Return `path` as a person would write it: relative when it lies below the current folder."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _read(path: Path, shown: str) -> dict[str, Any]:
    """Return the file's top level. Raises ConfigError."""
    try:
        data = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)  # noqa: S506  (a SafeLoader)
    except FileNotFoundError:
        raise ConfigError(
            file=shown,
            what="this config file does not exist",
            remedy="Give an existing one with -i, or make one with ./muster init",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(file=shown, what=f"cannot be read: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = f" (line {error.problem_mark.line + 1})" if error.problem_mark else ""
        what = error.problem or "not valid YAML"
        remedy = "Remove one of them" if "given twice" in what else "Correct the YAML there"
        raise ConfigError(file=shown, what=f"{what}{line}", remedy=remedy) from error
    except yaml.YAMLError as error:
        raise ConfigError(file=shown, what=f"not valid YAML: {error}") from error
    except RecursionError:
        raise ConfigError(file=shown, what="lists in lists in lists without an end") from None
    if not isinstance(data, dict):
        raise ConfigError(
            file=shown,
            what="a config file is a mapping with at least `plugin: cluster` and `cluster: NAME`",
            remedy="Compare with inventories/local.yml",
        )
    return data


def _no_second_file(path: Path, shown: str, name: str) -> None:
    """Refuse a cluster name that another config file in the same folder uses: both would share one state."""
    pattern = re.compile(rf"^cluster:\s*['\"]?{re.escape(name)}['\"]?\s*(#.*)?$", re.MULTILINE)
    for other in sorted(path.resolve().parent.glob("*.y*ml")):
        if other == path.resolve() or not is_config(other):
            continue
        if pattern.search(other.read_text(encoding="utf-8")):
            raise ConfigError(
                file=shown,
                key="cluster",
                what=f"{other.name} beside it is a cluster named {name!r} too",
                remedy="Give each config file a cluster name of its own",
            )


def _object_store(parsed: ConfigBase) -> ObjectStoreSpec:
    """Return the store; an S3 one without a region of its own is in that of the EC2 machines."""
    model = parsed.object_store
    aws = next((block for block in parsed.blocks() if isinstance(block, Ec2Block)), Ec2Block())
    region = model.region
    if model.kind != "swift":
        region = region or aws.region or ObjectStoreSpec.region
    path = str(Path(model.path).expanduser().absolute()) if model.path else ""
    return ObjectStoreSpec(**{**model.model_dump(), "region": region, "path": path})


def _packages(model: PackagesModel) -> Packages:
    return Packages(apt=tuple(model.apt), pip=tuple(model.pip))


def _group(
    name: str, model: GroupModel, parsed: ConfigBase, shown: str, folders: tuple[Path, ...]
) -> NodeGroup:
    count = {MASTER: 1, WORKER: None, EXPERIMENT: 0}.get(name, model.count)
    facts = facts_of(model.provider)
    own = model.model_dump(include=set(facts.group.model_fields), exclude_defaults=True)
    return NodeGroup(
        name=name,
        provider=model.provider,
        count=count,
        cores=model.cores,
        memory_gb=float(model.memory_gb),
        data_disk_gb=model.data_disk_gb,
        settings=facts.merged(parsed.block(model.provider), own),
        deep_learning=model.deep_learning,
        packages=_packages(model.packages),
        setup=_script(model.setup, shown, f"groups.{name}.setup", folders),
    )


def _script(setup: str, shown: str, key: str, folders: tuple[Path, ...]) -> str:
    """Return the absolute path of a setup script that is named relative to the config file or the project."""
    if not setup:
        return ""
    for folder in folders:
        candidate = folder / Path(setup).expanduser()
        if candidate.is_file():
            return str(candidate.resolve())
    raise ConfigError(
        file=shown,
        key=key,
        what=f"there is no file {setup!r}",
        remedy=f"Looked in {folders[0]} and {folders[-1]}",
    )


def _dataset(parsed: ConfigBase, shown: str, folders: tuple[Path, ...]) -> DatasetSpec:
    """Return the data set; its source may be missing here (destroying a cluster does not need it)."""
    model = parsed.dataset
    source = model.source
    if source is None:
        source = (model.name or DIGITS) if model.name in ("", *BUILT_IN) else ""
    name = model.name or re.sub(r"[^a-z0-9-]+", "-", Path(source).name.lower()).strip("-") or "dataset"
    if source not in ("", *BUILT_IN):
        candidates = [folder / Path(source).expanduser() for folder in folders]
        source = str(next((path for path in candidates if path.exists()), candidates[0]).resolve())
        if name in BUILT_IN:
            raise ConfigError(
                file=shown,
                key="dataset.name",
                what=f"{name!r} is the name of {BUILT_IN[name]}, not of a folder",
                remedy="Give the data set another name",
            )
    grey = (model.channels or ("grey" if source in BUILT_IN else "rgb")) == "grey"
    return DatasetSpec(
        source,
        name,
        model.labels,
        multi_label=model.multi_label,
        on_bad_labels=model.on_bad_labels,
        sizes=tuple(model.sizes),
        preparation=Preparation(
            kind=model.kind or "",
            augment=model.augment,
            masters=model.masters,
            formats=tuple(model.formats),
            channels=1 if grey else 3,
            multi_label=model.multi_label,
            subject=model.subject,
            sample=model.sample,
            balance=model.balance,
        ),
    )
