"""One log line per change of state: what fails every fifteen seconds is said once, and its end is said too."""

import logging
import threading

log = logging.getLogger(__name__)


class StateChangeLog:
    """Remembers for each subject what is wrong with it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrong: dict[str, str] = {}
        self._closed = False

    def close(self) -> None:
        """Say nothing any more: what fails from here on fails because the program stops."""
        with self._lock:
            self._closed = True

    def failed(self, subject: str, reason: str) -> None:
        """Say why a subject fails, unless that was said last. The reason must be free of secrets."""
        with self._lock:
            if self._is_news(subject, reason):
                log.warning("%s: %s", subject, reason)

    def broke(self, subject: str, error: Exception) -> None:
        """Log that a subject fails by an internal error, with where it happened, unless that was said last."""
        reason = f"internal error ({type(error).__name__})"
        with self._lock:
            if self._is_news(subject, reason):
                log.error("%s: %s", subject, reason, exc_info=error)

    def works(self, subject: str) -> None:
        """Say that a subject works again, if it did not."""
        with self._lock:
            if self._wrong.pop(subject, None) is not None and not self._closed:
                log.info("%s: works again", subject)

    def wrong(self) -> dict[str, str]:
        """What is wrong now, by subject."""
        with self._lock:
            return dict(self._wrong)

    def _is_news(self, subject: str, reason: str) -> bool:
        if self._closed or self._wrong.get(subject) == reason:
            return False
        self._wrong[subject] = reason
        return True
