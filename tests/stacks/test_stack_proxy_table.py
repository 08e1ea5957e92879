"""``[proxy]`` of a stack file: which server, and which hops have a proxy."""

from __future__ import annotations

from pathlib import Path

import pytest

from servedrill.errors import UsageError
from servedrill.stacks.proxies import ExtraHop, ProxyTable
from servedrill.stacks.reading import read_stack_file

GROUPS = {"gateways": ["gateway-0", "gateway-1"], "engines": ["engine-0"]}


@pytest.mark.parametrize(
    ("hops", "chosen"),
    [
        (["gateways", "engines"], {"gateway-0", "gateway-1", "engine-0"}),
        (["gateway-1"], {"gateway-1"}),
        (["gateways", "gateway-1"], {"gateway-0", "gateway-1"}),
        ([], set()),
    ],
)
def test_hops_are_groups_or_single_names(hops: list[str], chosen: set[str]) -> None:
    """A hop that is named twice has one proxy."""
    assert ProxyTable(hops=hops).selected(GROUPS, where="f") == chosen


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (
            'hops = ["engnes"]',
            r"proxy\.hops\[0\]: no hop 'engnes'; expected some of gateways, engines, .*did you mean 'engines'",
        ),
        ('hops = ["engine-9"]', r"'engine-9'; expected some of .*engine-0, engine-1, engine-2"),
        ('hops = ["dns"]', r"'dns'.*DNS questions are UDP"),
        (
            'server = "toxiproxy-servr-x"',
            r"'toxiproxy-servr-x', and there is no such program on PATH; expected \"embedded\"",
        ),
        ('server = "/nowhere/toxiproxy-server"', r"no such program; expected"),
        ('server = "https://127.0.0.1:8474"', r"'https://127\.0\.0\.1:8474'; expected a URL such as http://"),
        ('server = "http://127.0.0.1"', r"expected a URL such as http://127"),
        ('server = "http://127.0.0.1:8474/x"', r"expected a URL such as http://127"),
        ('server = "http://127.0.0.1:99999"', r"expected a URL such as http://127"),
        ('server = "http://192.0.2.1:8474"', r"a server on this machine, for this stack"),
        ('servr = "embedded"', r"'servr'; did you mean 'server'"),
        (
            '[[proxy.hop]]\nname = "engine-0"\nlisten = "h:1"\nupstream = "h:2"',
            r"proxy\.hop\[0\]\.name: 'engine-0' twice",
        ),
        ('[[proxy.hop]]\nname = "a/b"\nlisten = "h:1"\nupstream = "h:2"', r"proxy\.hop\[0\]\.name: 'a/b' is no name"),
        ('[[proxy.hop]]\nname = "db"\nlisten = "h"\nupstream = "h:2"', r"hop\[0\]\.listen: is 'h'; expected host:port"),
        (
            '[[proxy.hop]]\nname = "db"\nlisten = "h:1"\nupstream = "h:0"',
            r"hop\[0\]\.upstream: is 'h:0'; expected host:port",
        ),
    ],
)
def test_what_is_wrong_in_the_table_is_one_line(tmp_path: Path, lines: str, says: str) -> None:
    """Before anything starts."""
    file = tmp_path / "stack.toml"
    file.write_text(f"[proxy]\n{lines}\n")
    with pytest.raises(UsageError, match=says) as error:
        read_stack_file(file)
    assert "\n" not in str(error.value)
    assert str(file) in str(error.value)


def test_a_table_is_read(tmp_path: Path) -> None:
    """Its server, which hops have a proxy, and hops of one's own."""
    file = tmp_path / "stack.toml"
    hop = '[[proxy.hop]]\nname = "db"\nlisten = "127.0.0.1:9001"\nupstream = "db.test:5432"'
    file.write_text(f'[proxy]\nserver = "http://localhost:8474/"\nhops = ["engine-1"]\n{hop}\n')
    assert read_stack_file(file).proxy == ProxyTable(
        server="http://localhost:8474/",
        hops=["engine-1"],
        hop=[ExtraHop(name="db", listen="127.0.0.1:9001", upstream="db.test:5432")],
    )
