"""Which requests to the local ports of `./muster ui` may pass."""

from __future__ import annotations

import pytest

from provision.services.gate import Gate, Refused, passes

OWN, OTHER, STRANGER = 9870, 4040, 5000
HOST = {"Host": f"127.0.0.1:{OWN}"}


def is_ours(port: int) -> bool:
    return port in (OWN, OTHER)


def cookie(gate: Gate) -> str:
    entry = gate.enter("GET", f"/{gate.pass_of(OWN)}/", HOST, OWN, is_ours)
    return entry.cookie.partition(";")[0]


def enter(gate: Gate, method: str = "GET", path: str = "/x", **headers: str) -> str:
    known = {name.replace("_", "-"): value for name, value in headers.items()}
    return gate.enter(
        method, path, {**HOST, "Cookie": f'a="{{1}}"; {cookie(gate)}; b', **known}, OWN, is_ours
    ).path


def refused(gate: Gate, method: str = "GET", path: str = "/x", **headers: str) -> int:
    with pytest.raises(Refused) as caught:
        enter(gate, method, path, **headers)
    return caught.value.status


def test_the_first_address_gives_a_cookie_and_leaves_the_pass_behind() -> None:
    gate = Gate()
    entry = gate.enter("GET", f"/{gate.pass_of(OWN)}/jobs/?id=1", HOST, OWN, is_ours)
    assert entry.path == "/jobs/?id=1"
    assert entry.cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    assert gate.pass_of(OWN) not in entry.cookie


def test_without_the_key_nobody_gets_anything() -> None:
    gate = Gate(write=True)
    for method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS"):
        for path in ("/", f"/{Gate().pass_of(OWN)}/", f"/{gate.pass_of(OTHER)}/", "//", "/ü"):
            for given in ("", cookie(Gate()), f"{cookie(gate).partition('=')[0]}=", "muster-=x"):
                assert refused(gate, method, path, Cookie=given) == 403


def test_a_foreign_name_that_leads_here_is_refused() -> None:
    for host in ("evil.example", f"evil.example:{OWN}", f"localhost:{OWN}", "127.0.0.1", ""):
        assert refused(Gate(), Host=host) == 403


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec_Fetch_Site": "none"},
        {"Sec_Fetch_Site": "same-origin", "Referer": f"http://127.0.0.1:{OWN}/y"},
        {"Sec_Fetch_Site": "same-site", "Referer": f"http://127.0.0.1:{OTHER}/"},
        {"Sec_Fetch_Site": "same-site", "Origin": f"http://127.0.0.1:{OTHER}"},
    ],
)
def test_what_a_person_or_our_own_page_asks_for_passes(headers: dict[str, str]) -> None:
    assert enter(Gate(), **headers) == "/x"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"},
        {"Sec_Fetch_Site": "same-site"},
        {"Sec_Fetch_Site": "same-site", "Referer": f"http://127.0.0.1:{STRANGER}/"},
        {"Sec_Fetch_Site": "same-origin", "Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{OWN}"},
        {"Origin": "http://127.0.0.1:x"},
        {"Referer": f"http://localhost:{OWN}/"},
        {"Sec_Fetch_Site": "new-in-2030"},
    ],
)
def test_what_another_page_has_caused_is_refused(headers: dict[str, str]) -> None:
    assert refused(Gate(), **headers) == 403
    assert refused(Gate(write=True), "POST", **headers) == 403


def test_changes_pass_only_when_they_were_asked_for() -> None:
    ours = {"Origin": f"http://127.0.0.1:{OWN}"}
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert refused(Gate(), method, **ours) == 405
        assert enter(Gate(write=True), method, **ours) == "/x"


def test_a_page_of_ours_may_fetch_with_a_pass_alone() -> None:
    gate = Gate()
    fetch = {"Cookie": "", "Sec_Fetch_Mode": "cors", "Sec_Fetch_Site": "same-site"}
    path = f"/{gate.pass_of(OWN)}/webhdfs/v1/a"
    assert enter(gate, path=path, Origin=f"http://127.0.0.1:{OTHER}", **fetch) == "/webhdfs/v1/a"
    assert refused(gate, path=path, Origin=f"http://127.0.0.1:{STRANGER}", **fetch) == 403
    assert refused(gate, "PUT", path=path, Origin=f"http://127.0.0.1:{OTHER}", **fetch) == 405


def test_what_belongs_to_other_pages_of_the_browser_stays_here() -> None:
    for name in ("Cookie", "Set-Cookie", "Authorization", "Proxy-Authorization", "PROXY-AUTHENTICATE"):
        assert not passes(name)
    assert passes("Accept")
