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

The record is shared by all links and never changes: an update is a new record. What belongs to one link is in the
`Stub`.
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
    def random(self) -> Random:
        """Chance for this toxic on this connection; two runs with one seed draw the same."""

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
    def tap(self) -> Tap | None:
        """Where in the stream the connection is; None before there was a toxic that asks."""

    def held_before(self) -> int | None:
        """How many bytes the stubs before this one hold; None where that cannot be known now."""

    def answer(self, ordinal: int, answer: Answer, status: int, retry_after_s: float | None) -> None:
        """Answer a request in place of the upstream, when the answers to earlier requests have gone down."""

    def leave_link(self) -> None:
        """Take this stub out of its link."""


@runtime_checkable
class Toxic(Protocol):
    """Something that happens to the chunks of a link."""

    def feed(self, stub: Any, data: bytes, stamp: float) -> None:
        """A chunk arrived that the link has carried since `stamp`."""


@runtime_checkable
class Starting(Protocol):
    """It acts without waiting for data."""

    def start(self, stub: Any) -> None:
        """The toxic begins on this link, or begins again with other attributes."""


@runtime_checkable
class Ending(Protocol):
    """It changes how the end of the stream passes."""

    def end(self, stub: Any, mark: Mark, stamp: float) -> None:
        """The stream's end arrived."""


@runtime_checkable
class Cleaning(Protocol):
    """Removing it does more than letting go of what it holds."""

    def clean_up(self, stub: Any) -> None:
        """The toxic is being removed."""


@runtime_checkable
class Stateful(Protocol):
    """It remembers something about each link."""

    def new_state(self) -> object:
        """What the toxic remembers about one link."""


@runtime_checkable
class Checked(Protocol):
    """Its attributes have a range."""

    def problem(self) -> str | None:
        """What is wrong with the attributes, if anything."""


@runtime_checkable
class Holding(Protocol):
    """It must not see again what it held, as if it were new."""

    def hold_again(self, stub: Any, data: bytes, stamp: float) -> None:
        """The toxic was updated while it held this chunk."""


@runtime_checkable
class Lingering(Protocol):
    """It cannot leave in the middle of something."""

    def successor(self, stub: Any) -> Toxic | None:
        """What takes over when this toxic is removed; None where it can go at once."""


@runtime_checkable
class Slicing(Protocol):
    """What it holds leaves in pieces."""

    def piece(self, stub: Any) -> tuple[int, float]:
        """The size of the next piece in bytes, and after how many seconds the one behind it is due."""


@runtime_checkable
class Directed(Protocol):
    """It acts on one direction only."""

    direction: ClassVar[str]
    """`upstream` or `downstream`, whatever stream it was added to."""


@runtime_checkable
class HttpAware(Protocol):
    """It needs the connection's tap."""

    knows_http: ClassVar[bool]


@runtime_checkable
class Buffering(Protocol):
    """It may hold more of a link than others."""

    buffer_bytes: ClassVar[int]


REGISTRY: dict[str, type[Toxic]] = {}

T = TypeVar("T", bound=type[Any])


def toxic(name: str) -> Callable[[T], T]:
    """Register a frozen dataclass as the toxic of this type name; its fields are its attributes."""

    def register(cls: T) -> T:
        REGISTRY[name] = cls
        return cls

    return register
