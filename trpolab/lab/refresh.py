"""The refresh thread: it moves new values to the widgets, at most four times a second.

Of several values since its last call it shows the newest.
"""

from __future__ import annotations

import atexit
import threading
import time
from collections.abc import Callable

NAME = "trpolab-pump"
PERIOD = 0.25  # seconds


class RefreshTimer:
    """Calls `stroke` in a daemon thread until closed.

    `seconds` counts the processor time of the calls. A call that raises is reported by `failed` and is the last one:
    otherwise it would fail four times a second.
    """

    def __init__(self, stroke: Callable[[], None], failed: Callable[[BaseException], None], period: float = PERIOD):
        self._stroke, self._failed, self._period = stroke, failed, period
        self._done = threading.Event()
        self._thread: threading.Thread | None = None
        self.seconds = 0.0

    def start(self) -> None:
        """Start once; later calls do nothing."""
        if self._thread is None and not self._done.is_set():
            atexit.register(self.close)  # a thread that draws must not outlive the interpreter
            self._thread = threading.Thread(target=self._beat, name=NAME, daemon=True)
            self._thread.start()

    def close(self, seconds: float = 5.0) -> None:
        """Return after the call under way, if there is one; no other follows."""
        atexit.unregister(self.close)
        self._done.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(seconds)

    def _beat(self) -> None:
        due = time.monotonic()
        while True:
            now = time.monotonic()
            due = max(due + self._period, now + self._period / 2)  # a call is part of the period, up to its half
            if self._done.wait(due - now):
                return
            began = time.thread_time()
            try:
                self._stroke()
            except Exception as error:  # noqa: BLE001 - shown in the lab instead of a thread's silent death
                self._failed(error)
                return
            finally:
                self.seconds += time.thread_time() - began
