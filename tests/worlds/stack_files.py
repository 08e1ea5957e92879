"""Small stack files of each kind that has to say what it is made of."""

from __future__ import annotations

PROCESSES = """\
kind = "process"

[promises]
model = "llama"

[[process]]
name = "engine"
role = "engine"
command = ["vllm"]

[[process]]
name = "gateway"
role = "gateway"
command = ["nginx"]
after = ["engine"]
"""
CONTAINERS = """\
kind = "docker"
promises.model = "llama"

[[container]]
name = "engine"
role = "engine"
image = "vllm"
"""
EXTERNAL = """\
kind = "external"
promises.model = "llama"

[external]
url = "http://10.0.0.1"

[[replica]]
name = "engine-0"
role = "engine"
url = "http://10.0.0.7:8000"
"""
