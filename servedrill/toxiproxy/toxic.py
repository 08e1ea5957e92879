"""What a toxic is: a frozen record of its attributes that says what happens to each chunk of one link.

One method is required. The others are powers of their own, so a toxic states exactly what it needs:

    Toxic      feed()       required: what happens to a chunk
    Starting   start()      it acts without waiting for data: a timer, a live connection to reset
    Ending     end()        it changes how the end of the stream passes
    Cleaning   clean_up()   removing it does more than letting go of what it holds
    Stateful   new_state()  it remembers something about a link; the state survives updates
    Checked    problem()    its attributes have a range; what it returns is answered with 400
    Holding    hold_again() an update finds chunks that it held in a form that feed() must not see again
    Lingering  successor()  it cannot leave in the middle of something and names what takes its place until then
    Directed   direction    it acts on one direction only, whatever stream it was added to
    HttpAware  knows_http   it needs the connection's tap to know where in the stream it is
    Slicing    piece()      what it holds leaves in pieces
    Buffering  buffer_bytes how much it may hold of one link before the sender is slowed down

The record is shared by all links and never changes: an update is a new record. What belongs to one link is in the `Stub`.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from random import Random
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from servedrill.toxiproxy.evidence import Evidence
    from servedrill.toxiproxy.tap import Answer, Tap

EARLY_S = 0.0005
"""A chunk this close to its time goes out now, and is not late: timers have a resolution of a millisecond."""


class Mark(Enum):
    """The two ways in which a stream ends inside a chain."""

    EOF = "the sender has ended its side; the other direction goes on"
    CUT = "the whole connection is closed after what went before"


class Stub(Protocol):
    """One toxic's place in one link, as the toxic sees it. Times are `time.monotonic()` seconds."""

    state: Any
    evidence: Evidence
    live_before: bool
    """The connection was open before the toxic came."""

    @property
    def random(self) -> Random: ...

    def forward(self, data: bytes, stamp: float) -> None:
        """Pass a chunk on, behind what is held."""

    def hold(self, data: bytes, stamp: float, due: float, shift: float = 0.0) -> None:
        """Keep a chunk until `due`, behind what is held; infinity means until the toxic changes.

        `shift` moves its timestamp on, for a delay that a later toxic must not take for time it has waited already.
        """

    def end(self, mark: Mark, stamp: float, due: float = 0.0, shift: float = 0.0) -> None:
        """Pass the end of the stream on, behind what is held and not before `due`."""

    def drop(self, data: bytes) -> None:
        """Throw a chunk away."""

    def cut(self) -> None:
        """Close the connection behind what was passed on so far; whatever comes later is dropped."""

    def reset(self) -> None:
        """Reset the connection (RST to both sides) now."""

    def alarm(self, delay_s: float, then: Callable[[], None]) -> None:
        """Call `then` after a delay, in place of any earlier alarm of this stub."""

    def hit(self) -> None:
        """Note that the toxic did something to this link."""


class HttpStub(Stub, Protocol):
    """What a toxic that knows HTTP may do in addition."""

    @property
    def tap(self) -> Tap | None: ...

    def held_before(self) -> int | None:
        """How many bytes the stubs before this one hold; None where that cannot be known now."""

    def answer(self, ordinal: int, answer: Answer, status: int, retry_after_s: float | None) -> None:
        """Answer a request in place of the upstream, when the answers to earlier requests have gone down."""

    def leave_link(self) -> None:
        """Take this stub out of its link."""


@runtime_checkable
class Toxic(Protocol):
    def feed(self, stub: Any, data: bytes, stamp: float) -> None:
        """A chunk arrived that the link has carried since `stamp`."""


@runtime_checkable
class Starting(Protocol):
    def start(self, stub: Any) -> None:
        """The toxic begins on this link, or begins again with other attributes."""


@runtime_checkable
class Ending(Protocol):
    def end(self, stub: Any, mark: Mark, stamp: float) -> None:
        """The stream's end arrived."""


@runtime_checkable
class Cleaning(Protocol):
    def clean_up(self, stub: Any) -> None:
        """The toxic is being removed."""


@runtime_checkable
class Stateful(Protocol):
    def new_state(self) -> object:
        """What the toxic remembers about one link."""


@runtime_checkable
class Checked(Protocol):
    def problem(self) -> str | None:
        """What is wrong with the attributes, if anything."""


@runtime_checkable
class Holding(Protocol):
    def hold_again(self, stub: Any, data: bytes, stamp: float) -> None:
        """The toxic was updated while it held this chunk."""


@runtime_checkable
class Lingering(Protocol):
    def successor(self, stub: Any) -> Toxic | None:
        """What takes over when this toxic is removed; None where it can go at once."""


@runtime_checkable
class Slicing(Protocol):
    def piece(self, stub: Any) -> tuple[int, float]:
        """The size of the next piece, and how long after it the one behind it is due."""


@runtime_checkable
class Directed(Protocol):
    direction: ClassVar[str]


@runtime_checkable
class HttpAware(Protocol):
    knows_http: ClassVar[bool]


@runtime_checkable
class Buffering(Protocol):
    buffer_bytes: ClassVar[int]


REGISTRY: dict[str, type[Toxic]] = {}

T = TypeVar("T", bound=type[Any])


def toxic(name: str) -> Callable[[T], T]:
    """Register a frozen dataclass as the toxic of this type name; its fields are its attributes."""

    def register(cls: T) -> T:
        REGISTRY[name] = cls
        return cls

    return register
