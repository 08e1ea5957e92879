"""Which weights and adapters are in memory, and what a request that names a model gets."""

from __future__ import annotations

import mmap

from servedrill.refstack.config import ModelVersion


class LoadFailed(Exception):
    """The version or adapter cannot be loaded; what was served before still is."""


class Weights:
    """One model version, really allocated, and any number of adapters upon it.

    A load puts the new weights beside the old ones and switches when they are whole, so a failed load changes nothing.
    """

    policy = "weights"

    def __init__(self, registry: list[ModelVersion]) -> None:
        self.registry = {model.version: model for model in registry}
        self.model: ModelVersion | None = None
        self.adapters: dict[str, str] = {}
        """Name -> path; the path tells revisions of one adapter apart."""
        self._memory: mmap.mmap | None = None

    def find(self, version: str) -> ModelVersion:
        """The registry's entry. Raises `LoadFailed`."""
        if version not in self.registry:
            raise LoadFailed(f"no version {version!r} in the registry; there are {', '.join(self.registry)}")
        return self.registry[version]

    def switch(self, model: ModelVersion) -> None:
        """Serve ``model`` from now on. Raises `LoadFailed` and leaves everything as it was."""
        memory = self.read(model)
        if self._memory is not None:
            self._memory.close()
        self._memory, self.model = memory, model

    def read(self, model: ModelVersion) -> mmap.mmap:
        """The weights in memory of their own. Raises `LoadFailed`."""
        memory = mmap.mmap(-1, model.weights_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        whole = model.weights_bytes if model.loads else model.weights_bytes // 2
        for page in range(0, whole, mmap.PAGESIZE):
            memory[page] = 0x5A
        if not model.loads:
            memory.close()
            raise LoadFailed(f"{model.version}: shard 2 of 4 is damaged")
        return memory

    def release(self) -> None:
        """Sleep: give the weights' memory back; the version is remembered for wake-up."""
        if self._memory is not None:
            self._memory.close()
            self._memory = None

    def restore(self) -> None:
        """Wake up with the version that fell asleep."""
        if self._memory is None and self.model is not None:
            self._memory = self.read(self.model)

    @property
    def bytes_held(self) -> int:
        """Memory of the weights, in bytes."""
        return len(self._memory) if self._memory is not None else 0

    def load_adapter(self, name: str, path: str) -> None:
        """Raises `LoadFailed` for a path that is none, or an adapter made for another base."""
        if not path.startswith("adapters/"):
            raise LoadFailed(f"adapter {name!r}: no adapter at {path!r}; expected adapters/<name>")
        if path.endswith("-mismatch"):
            raise LoadFailed(f"adapter {name!r}: its shapes do not fit the base model")
        self.adapters[name] = path

    def unload_adapter(self, name: str) -> None:
        """Raises `LoadFailed` for a name that is not loaded."""
        if name not in self.adapters:
            raise LoadFailed(f"adapter {name!r} is not loaded")
        del self.adapters[name]

    def serves(self, name: str) -> bool:
        """Whether requests may name it: the version, or a loaded adapter."""
        return (self.model is not None and name == self.model.version) or name in self.adapters

    def identity(self, adapter: str) -> str:
        """The version whose tokens an answer has to show: the base's, or base and adapter revision (its path)."""
        assert self.model is not None
        return f"{self.model.version}+{adapter}" if adapter else self.model.version
