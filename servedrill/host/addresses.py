"""Addresses as ``host:port``, an IPv6 host in brackets."""

from __future__ import annotations


def split_host_port(text: str) -> tuple[str, int]:
    """Host (IPv6 without its brackets) and port. Raises `ValueError` where the port is no number."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def join_host_port(host: str, port: int) -> str:
    """``host:port``."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
