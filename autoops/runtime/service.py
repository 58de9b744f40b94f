"""How a long-lived process lives: one loop, in which signals, wake-ups, systemd and the maintenance flag have their turn.

A service says only what one step does and how long it may sleep afterwards; the rest is here. Guarantees: no step begins while
the maintenance flag exists; systemd hears READY after everything is open, and WATCHDOG from this loop alone, so a step that
hangs is noticed; SIGTERM and SIGINT let the step end, then close; a bad configuration never replaces a good one.
A service that finds what an operator edited to be broken is *held*: it stays paused though the flag is gone, says why, and tries
again. Reads the flag and the environment (notify.py); writes to systemd's socket and through `beat`.
"""

from __future__ import annotations

import math
import select
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from autoops import clock, log, names
from autoops.errors import AutoopsError, Held, UsageError
from autoops.model import JSON
from autoops.runtime import maintenance
from autoops.runtime.maintenance import Maintenance
from autoops.runtime.notify import Notifier
from autoops.runtime.signals import RELOAD, STOP, Signals

Beat = Callable[[str, str, JSON], None]  # (state: "running", "paused", "held" or "stopping"; status; facts)
Alive = Callable[[], None]

FLAG_POLL_S = 5.0  # without a bell: two daemons together wake 0.4 times a second for it
FLAG_POLL_PAUSED_S = 1.0
FLAG_NET_S = 60.0  # with one: in case its directory was moved away and another put in its place
STATUS_INTERVAL_S = 1.0
EXTEND_US = 60_000_000  # of the time that systemd allows for a start, while a registry is looked through
SLACK = 0.8  # what is due after this share of its interval is done with the turn at hand, to save a wake-up of its own


class Service(Protocol):
    """What `run` keeps alive. All in one thread, in the order open, (resume, (step, reload)*, pause)*, close."""

    name: str
    facts: JSON  # what others go by; told with the next turn when it changes

    def open(self) -> None:
        """Open everything but what an operator may edit. Called even when the flag exists."""

    def resume(self, alive: Alive, was: Maintenance | None) -> None:
        """Take up what an operator may edit; `was` is the window that has just ended, None after a start.

        Calls `alive` now and then when it takes long. Raises Held when what was edited is broken; then it is tried again later.
        """

    def step(self, now_s: float) -> float:
        """Do one poll, in less than half of the watchdog's limit, and return the seconds it may sleep.

        `now_s` is the time since boot, suspend included. Drains what made a descriptor of `wake_fds` readable.
        """

    def status(self) -> str:
        """Return one sentence for people. Asked for about once a second while busy."""

    def reload(self) -> None:
        """Take over the configuration as it is now. Raises UsageError and keeps the old one."""

    def pause(self, window: Maintenance) -> None:
        """Finish, and let go of what an operator may edit. No step is called until resume."""

    def entered(self, window: Maintenance) -> None:
        """Take note of the window in which the service was started; it has nothing to let go of."""

    def close(self) -> None:
        """Give everything back; also called when a step raised."""

    def wake_fds(self) -> list[int]:
        """Return the descriptors that mean "step now" when readable. Asked before each sleep, so it must be cheap."""


class Bell(Protocol):
    """Rings when the flag may have come or gone."""

    def fileno(self) -> int:
        """Return a descriptor that is readable when it rings."""

    def drain(self) -> None:
        """Make it silent again."""


def run(service: Service, *, flag: Path, heartbeat_s: float, beat: Beat, bell: Bell | None = None) -> int:
    """Live until SIGTERM or SIGINT, then return 0. What open, step or close raise is logged and raised again.

    Without a bell the flag is looked for every few seconds. `beat` is called when the service is open, each `heartbeat_s`, on every
    change of state or facts, and before the end; a transient error of it is logged and survived. Main thread only.
    """
    with Signals() as signals:
        loop = Loop(service, signals, flag, heartbeat_s, beat, bell)
        log.emit("service_started", service=service.name)
        try:
            service.open()
            try:
                loop.live()
            finally:
                loop.notifier.send("STOPPING=1")
                service.close()
        except BaseException as error:
            loop.died(error)
            raise
        finally:
            loop.notifier.close()
        log.emit("service_stopped", service=service.name)
    return 0


class Loop:
    """The turns of one service, and what is remembered from turn to turn. Times are seconds since boot."""

    def __init__(self, service: Service, signals: Signals, flag: Path, heartbeat_s: float, beat: Beat, bell: Bell | None) -> None:
        self.notifier = Notifier()
        self._service, self._signals, self._flag, self._heartbeat_s, self._beat_out = service, signals, flag, heartbeat_s, beat
        self._bell = bell
        self._paused: Maintenance | None = None  # what the flag says
        self._running = False  # whether the service has taken up what it works on
        self._held = ""  # why it could not
        self._window: Maintenance | None = None  # the one that ended last, until all of it is taken up
        self._alarm = ""  # why somebody should look after the window
        self._refused = False  # the last reload
        self._status = ""
        self._facts: JSON = {}  # as told last
        self._status_at_s = self._beat_at_s = self._ping_at_s = self._alive_at_s = self._step_due_s = float("-inf")

    def live(self) -> None:
        """Turn until a signal ends it."""
        self._obey_flag()
        self._ready(_now_s())
        log.emit("service_ready", service=self._service.name)
        self._beat(_now_s())
        while not self._stopped():
            self._turn()
            self._sleep(_now_s())
        self._beat(_now_s(), "stopping")

    def died(self, error: BaseException) -> None:
        """Leave word of what ended the service."""
        reason = f"{type(error).__name__}: {error}"
        self.notifier.send(f"STATUS={names.show(reason)}")
        about: dict[str, object] = {"hint": error.advice} if isinstance(error, AutoopsError) else {"exc_info": True}
        log.emit("service_failed", service=self._service.name, reason=reason, **about)

    def _turn(self) -> None:
        changed = self._obey_flag()
        if self._running and _now_s() >= self._step_due_s:
            sleep_s = self._service.step(_now_s())
            self._step_due_s = _now_s() + max(0.0, sleep_s)
        now_s = _now_s()
        if changed or now_s - self._status_at_s >= STATUS_INTERVAL_S:
            self._tell_status(now_s)
        if changed or self._service.facts != self._facts or now_s - self._beat_at_s >= self._heartbeat_s * SLACK:
            self._beat(now_s)
        self._ping(now_s)

    def _ping(self, now_s: float) -> None:
        if self.notifier.watchdog_s and now_s - self._ping_at_s >= self.notifier.watchdog_s * SLACK:
            self.notifier.send("WATCHDOG=1")
            self._ping_at_s = now_s

    def _alive(self) -> None:
        """Tell systemd that what takes long is under way: at a start, and later."""
        now_s = _now_s()
        if now_s - self._alive_at_s >= 1.0:
            self._alive_at_s = now_s
            self.notifier.send(f"EXTEND_TIMEOUT_USEC={EXTEND_US}")
            self._ping(now_s)

    def _sleep(self, now_s: float) -> None:
        flag_s = FLAG_NET_S if self._bell and not self._held else FLAG_POLL_S if self._running else FLAG_POLL_PAUSED_S
        waits_s = [flag_s, self._beat_at_s + self._heartbeat_s - now_s]
        if self.notifier.watchdog_s:
            waits_s.append(self._ping_at_s + self.notifier.watchdog_s - now_s)
        wake_fds: list[int] = []
        if self._running:  # else nobody would drain them
            waits_s.append(self._step_due_s - now_s)
            wake_fds = self._service.wake_fds()
        poll = select.poll()  # made anew: an epoll would miss a descriptor closed and opened again under the same number
        bells = [self._bell.fileno()] if self._bell else []
        for descriptor in (self._signals.fileno(), *bells, *wake_fds):
            poll.register(descriptor, select.POLLIN)
        ready = {descriptor for descriptor, _ in poll.poll(math.ceil(max(0.0, min(waits_s)) * 1000))}
        if not ready.isdisjoint(wake_fds):
            self._step_due_s = float("-inf")
        if self._bell and not ready.isdisjoint(bells):
            self._bell.drain()  # the next turn looks at the flag

    def _stopped(self) -> bool:
        taken = self._signals.take()
        for number in taken & STOP:
            log.emit("service_stopping", service=self._service.name, reason=number.name)
            return True
        if RELOAD in taken:
            self._reload()
        return False

    def _reload(self) -> None:
        self.notifier.reloading()
        try:
            self._service.reload()
        except UsageError as error:
            self._refused = True
            log.emit("configuration_refused", reason=str(error).splitlines())
        else:
            self._refused = False
            log.emit("configuration_reloaded")
        self._beat(_now_s())  # first: whoever waited for READY=1 finds in it what is watched now
        self._ready(_now_s())
        self._step_due_s = float("-inf")

    def _obey_flag(self) -> bool:
        """Pause or resume if the flag came or went; say whether anything changed."""
        if maintenance.is_set(self._flag):
            return self._enter() if self._paused is None else self._look_at_window()
        was, self._paused = self._paused, None
        return self._take_up(was) if not self._running else False

    def _enter(self) -> bool:
        window = maintenance.read(self._flag)
        if window is None:
            return False  # it is gone again
        self._paused, self._held = window, ""
        if self._running:
            self._running = False
            self._service.pause(window)
        else:
            self._service.entered(window)
        log.emit("paused", flag=str(self._flag), why=str(window))
        return True

    def _look_at_window(self) -> bool:
        """Say it, once, when somebody should look after the window; it stays open."""
        self._paused = maintenance.read(self._flag) or self._paused
        alarm = self._paused.alarm(time.time()) if self._paused else ""
        if alarm == self._alarm:
            return False
        self._alarm = alarm
        if alarm:
            log.emit("window_alarm", flag=str(self._flag), reason=alarm)
        return True

    def _take_up(self, was: Maintenance | None) -> bool:
        if was is not None:
            self._window, self._alarm = was, ""
        try:
            self._service.resume(self._alive, self._window)
        except Held as error:
            changed = str(error) != self._held
            self._held = str(error)
            if changed:
                log.emit("held", service=self._service.name, reason=str(error), hint=error.advice)
            return changed
        if self._window is not None:
            log.emit("resumed", flag=str(self._flag))
        self._running, self._held, self._window = True, "", None
        self._step_due_s = float("-inf")
        return True

    @property
    def _state(self) -> str:
        return "running" if self._running else "held" if self._held else "paused"

    def _sentence(self) -> str:
        said = self._service.status()
        if self._held:
            said = f"held: {self._held}"
        elif self._paused is not None:
            said = f"paused ({self._paused}); {said}" if str(self._paused) else f"paused; {said}"
            said = f"{said}; {self._alarm}" if self._alarm else said
        if self._refused:
            said = f"{said}; the new configuration was refused, the old one stays"
        return names.show(said)

    def _ready(self, now_s: float) -> None:
        self._status, self._status_at_s = self._sentence(), now_s
        self.notifier.send("READY=1", f"STATUS={self._status}")

    def _tell_status(self, now_s: float) -> None:
        said, self._status_at_s = self._sentence(), now_s  # also when nothing is new: asking may cost a query
        if said != self._status:
            self._status = said
            self.notifier.send(f"STATUS={said}")

    def _beat(self, now_s: float, state: str = "") -> None:
        self._beat_at_s, self._facts = now_s, dict(self._service.facts)  # also when it fails: the next one is due in its time
        try:
            self._beat_out(state or self._state, self._sentence(), self._facts)
        except AutoopsError as error:
            if not error.transient:
                raise
            log.emit("heartbeat_missed", service=self._service.name, reason=str(error))


def _now_s() -> float:
    return clock.boottime_ns() / 1e9
