from __future__ import annotations

from provision.core.errors import CommandFailed, ConfigError, MusterError


def test_one_line_with_place_and_remedy() -> None:
    error = CommandFailed(what="it broke\n  badly.", where="retina-master", remedy="Mend\nit", status=3)
    assert str(error) == "retina-master: it broke badly. Mend it"
    assert error.status == 3


def test_parts_may_be_left_out() -> None:
    assert str(MusterError(what="it broke")) == "it broke"
    assert str(ConfigError(file="a.yml", what="is empty", remedy="Fill it")) == "a.yml: is empty. Fill it"
    assert str(ConfigError(file="a.yml", key="nodes", what="is missing")) == "a.yml: nodes: is missing"
