"""Structured logs for operators: one JSON object a line, on standard error."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Final, final

from neuraxis.errors import UsageInvalid

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}

ROOT: Final = "neuraxis"


@final
class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON: time, level, logger, event, and its extra fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": record.getMessage(),
        }
        for name, value in vars(record).items():
            if name not in _STANDARD:
                line.update(value if name == "facts" and isinstance(value, dict) else {name: value})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def set_up(level: str) -> None:
    """Send the package's logs to standard error as JSON lines. Programs that embed it decide for themselves.

    Raises:
        UsageInvalid: There is no such level.
    """
    if level.upper() not in LEVELS:
        raise UsageInvalid(what=f"--log {level!r} is no level", remedy=f"Write one of {', '.join(LEVELS)}.")
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(ROOT)
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
