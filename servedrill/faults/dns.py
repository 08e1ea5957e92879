"""DNS faults: the name in front of the gateways answers something else."""

from __future__ import annotations

import json
from typing import Any

from servedrill.control.bounded import call, read
from servedrill.control.secret import proof, run_secret
from servedrill.faults.fault import Evidence
from servedrill.leases.undo import HttpCall, Undo
from servedrill.stacks.name import Records
from servedrill.stacks.protocols import Named


class DnsChange:
    """The name has only these addresses, until healed."""

    name = "dns_change"

    def __init__(self, stack: Named, addresses: list[str]) -> None:
        self.target = "dns"
        self.attributes: dict[str, Any] = {"addresses": addresses}
        self._api, self._addresses = stack.records_api(), addresses
        self._before: list[str] = []

    def undo(self) -> list[Undo]:
        """Give the name the addresses that its server keeps for it."""
        return [HttpCall(address=self._api, method="PUT", path="/records", body="null", with_secret=True)]

    def inject(self) -> None:
        """Give the name other addresses. Raises `httpx.HTTPError`."""
        self._before = self._records().addresses
        url, headers = f"http://{self._api}/records", proof(run_secret())
        call("PUT", url, timeout_s=5, content=json.dumps(self._addresses), headers=headers).raise_for_status()

    def evidence(self) -> Evidence:
        """The name answers none but these, which it did not have before."""
        answers = self._records().answers
        others = set(self._before) != set(self._addresses)
        return Evidence(
            proven=others and set(answers) <= set(self._addresses),
            observed=f"the name answers {', '.join(answers)}; it had {', '.join(self._before)}",
        )

    def heal(self) -> Evidence:
        """Take them back; the name has others again."""
        for undo in self.undo():
            undo.carry_out()
        now = self._records().addresses
        return Evidence(proven=now != self._addresses, observed=f"the name has {', '.join(now)} again")

    def _records(self) -> Records:
        return read(call("GET", f"http://{self._api}/records", timeout_s=5), Records)
