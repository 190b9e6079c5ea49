"""The two sockets of a worker. One thread makes, uses and closes them.

Reports leave through an XPUB socket: on the wire it is a PUB socket, but it also shows when the
orchestrator's subscription has arrived. Before that moment everything sent is dropped without a word, so
it is the moment to send hello.

What is sent in one round of the loop leaves together (`flush`): libzmq's own thread then wakes once for all
of it instead of once per message, which is most of what a message costs.

Options follow what libzmq 4.3.4 does with them: no ZMTP heartbeats (they abort the process together with a
finite high-water mark) and no MAXMSGSIZE (a connecting socket never comes back from a violation).
"""

from typing import Iterator, List, Sequence

import zmq
from zmq.backend import Socket as PlainSocket

from .errors import ConfigurationError
from .settings import OUTBOX_MAX, RECONNECT_MAX_MS

# Twice what an outbox may hold at once.
SEND_HWM = 2 * OUTBOX_MAX
RECONNECT_MS = 100
CLOSE_LINGER_MS = 500
# A plain number: pyzmq converts its enum anew in each call.
_NOBLOCK = int(zmq.NOBLOCK)


class Sockets:
    """SUB to every steps endpoint, XPUB to every results endpoint; rebuilt by calling `open` again."""

    def __init__(
        self,
        steps_endpoints: Sequence[str],
        results_endpoints: Sequence[str],
        wake_fd: int,
        reconnect_max_ms: int = RECONNECT_MAX_MS,
    ) -> None:
        self._reconnect_max_ms = reconnect_max_ms
        self._steps_endpoints = list(steps_endpoints)
        self._results_endpoints = list(results_endpoints)
        self._wake_fd = wake_fd
        self._context: "zmq.Context[zmq.Socket[bytes]]" = zmq.Context()
        self._sub: "zmq.Socket[bytes]"
        self._pub: "zmq.Socket[bytes]"
        self._poller = zmq.Poller()
        self._opened = False
        self._outgoing: List[bytes] = []
        #: the last poll saw a subscription: asking in vain costs as much as a message
        self._subscribed = False

    def open(self, session: str, previous: Sequence[str] = ()) -> None:
        """Connects new sockets for this session; old ones and what they still held are thrown away.

        `previous`: sessions whose reports this one replays; acks of their hand-backs come on their topics.
        Raises ConfigurationError when libzmq does not take an endpoint.
        """
        self._outgoing.clear()
        if self._opened:
            self._close(linger_ms=0)
        self._pub = self._context.socket(zmq.XPUB)
        self._pub.setsockopt(zmq.XPUB_VERBOSE, 1)
        self._pub.setsockopt(zmq.SNDHWM, SEND_HWM)
        self._sub = self._context.socket(zmq.SUB)
        self._opened = True
        self._sub.setsockopt(zmq.RCVHWM, 0)
        for socket in (self._pub, self._sub):
            socket.setsockopt(zmq.LINGER, 0)
            socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
            socket.setsockopt(zmq.RECONNECT_IVL_MAX, self._reconnect_max_ms)
            socket.setsockopt(zmq.TCP_KEEPALIVE, 1)
            socket.setsockopt(zmq.TCP_KEEPALIVE_IDLE, 30)
        # Steps before control: the orchestrator answers the control subscription with a heartbeat, and
        # whoever has seen that heartbeat is subscribed to its steps as well.
        self._sub.setsockopt(zmq.SUBSCRIBE, f"steps.{session} ".encode())
        self._sub.setsockopt(zmq.SUBSCRIBE, f"control.{session} ".encode())
        for name in previous:
            self._sub.setsockopt(zmq.SUBSCRIBE, f"control.{name} ".encode())
        for socket, endpoints in ((self._pub, self._results_endpoints), (self._sub, self._steps_endpoints)):
            for endpoint in endpoints:
                _connect(socket, endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._sub, zmq.POLLIN)
        self._poller.register(self._pub, zmq.POLLIN)
        self._poller.register(self._wake_fd, zmq.POLLIN)

    def poll(self, timeout_ms: int) -> bool:
        """Waits for a message, a subscription or the wake-up; True when the wake-up rang."""
        ready = [source for source, _ in self._poller.poll(timeout_ms)]
        self._subscribed = self._pub in ready
        return self._wake_fd in ready

    def received(self, most: int) -> Iterator[bytes]:
        """Frames that have arrived, at most `most`."""
        for _ in range(most):
            try:
                # Looked up each time: the frame before may have led to new sockets.
                yield self._sub.recv(_NOBLOCK)
            except zmq.Again:
                return

    def subscriptions(self) -> List[bytes]:
        """Topics somebody has just subscribed to on the results path (a prefix, mostly `workers `)."""
        topics: List[bytes] = []
        while self._subscribed:
            try:
                event = self._pub.recv(_NOBLOCK)
            except zmq.Again:
                break
            if event[:1] == b"\x01":
                topics.append(event[1:])
        return topics

    def send(self, frame: bytes) -> None:
        """Queues a frame for the next `flush`."""
        self._outgoing.append(frame)

    def flush(self) -> None:
        """Hands what is queued to libzmq. A peer that cannot take it loses it; the outbox sends it again."""
        pub, send = self._pub, PlainSocket.send  # past pyzmq's wrapper, which is for drafts
        for frame in self._outgoing:
            send(pub, frame, _NOBLOCK)
        self._outgoing.clear()

    def close(self) -> None:
        """The end: what is queued may still leave for CLOSE_LINGER_MS."""
        if self._opened:
            self.flush()
            self._close(linger_ms=CLOSE_LINGER_MS)
        self._context.term()

    def _close(self, linger_ms: int) -> None:
        self._sub.close(linger=0)
        self._pub.close(linger=linger_ms)
        self._opened = False


def _connect(socket: "zmq.Socket[bytes]", endpoint: str) -> None:
    try:
        # For addresses of IPv6 alone: with it, libzmq would look every name up in IPv6 first.
        socket.setsockopt(zmq.IPV6, int(endpoint.startswith("tcp://[")))
        socket.connect(endpoint)
    except zmq.ZMQError as error:
        raise ConfigurationError(f"endpoint {endpoint!r}: {error.strerror}") from error
