"""Files are read and written with errors that say what to do; logs are lines of JSON; a report is one page."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuraxis.errors import FileUnusable
from neuraxis.files import make_folder, read_bytes, sha256_of, unusable, write_atomically
from neuraxis.logs import ROOT, JsonLines, set_up
from neuraxis.report import Chart, Report, render, render_chart
from tests.kernel.breakage import disk_full_at, read_only

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# --------------------------------------------------------------------------------- files


def test_file_that_cannot_be_read_names_reason_and_remedy(tmp_path: Path) -> None:
    for name, reason in (("absent", "No such file or directory"), (".", "Is a directory")):
        with pytest.raises(FileUnusable) as refused:
            read_bytes(tmp_path / name, remedy="Look elsewhere.")
        assert (refused.value.path, refused.value.reason) == (str(tmp_path / name), reason)
        assert str(refused.value).endswith(f"{reason}. Look elsewhere.")
        with pytest.raises(FileUnusable, match=f"{reason}. Look elsewhere."):
            sha256_of(tmp_path / name, remedy="Look elsewhere.")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_atomically(tmp_path / "f", [b"one ", memoryview(b"two"), b""])
    assert read_bytes(tmp_path / "f", remedy="") == b"one two"
    assert sha256_of(tmp_path / "f", remedy="") == hashlib.sha256(b"one two").hexdigest()
    write_atomically(tmp_path / "f", iter([b"three"]))
    assert read_bytes(tmp_path / "f", remedy="") == b"three"
    assert os.listdir(tmp_path) == ["f"]


@pytest.mark.parametrize("durable", [True, False])
def test_writing_waits_for_the_disk_only_if_wanted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    waited: list[int] = []
    monkeypatch.setattr(os, "fsync", waited.append)
    write_atomically(tmp_path / "f", [b"x"], durable=durable)
    assert len(waited) == durable


@pytest.mark.parametrize("size", [0, 1, 99])
def test_full_disk_leaves_the_old_file_and_no_draft(tmp_path: Path, size: int) -> None:
    (tmp_path / "f").write_bytes(b"")
    with disk_full_at(size), pytest.raises(FileUnusable, match="Free space, or choose a folder that you can write to"):
        write_atomically(tmp_path / "f", [b"x" * 50, b"y" * 50])
    assert os.listdir(tmp_path) == ["f"]
    assert (tmp_path / "f").read_bytes() == b""


@pytest.mark.parametrize("failure", [KeyboardInterrupt, ValueError, MemoryError])
def test_content_that_fails_while_it_is_made_leaves_no_draft(tmp_path: Path, failure: type[BaseException]) -> None:
    def parts() -> Iterator[bytes]:
        yield b"half"
        raise failure

    with pytest.raises(failure):
        write_atomically(tmp_path / "f", parts())
    assert os.listdir(tmp_path) == []


def test_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "absent" / "f", tmp_path / "file" / "f"):
        with pytest.raises(FileUnusable, match="choose a folder that you can write to"):
            write_atomically(target, [b"x"])
    with pytest.raises(FileUnusable, match="Choose a folder that you can write to"):
        make_folder(tmp_path / "file" / "deep")
    with read_only(tmp_path):
        with pytest.raises(FileUnusable, match="Permission denied"):
            write_atomically(tmp_path / "f", [b"x"])
        with pytest.raises(FileUnusable, match="Permission denied"):
            make_folder(tmp_path / "deep")


def test_folder_is_made_with_its_parents_and_may_be_there(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()


def test_error_of_the_system_without_a_text_is_told_as_it_is(tmp_path: Path) -> None:
    assert unusable(tmp_path, OSError("odd"), "Look.").reason == "odd"


# ---------------------------------------------------------------------------------- logs


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """What is logged, while the package's logger is set up for it."""
    logger = logging.getLogger(ROOT)
    before = (logger.handlers, logger.level, logger.propagate)
    set_up("info")
    stream = io.StringIO()
    (handler,) = logger.handlers
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(stream)
    yield stream
    logger.handlers, level, logger.propagate = before
    logger.setLevel(level)


def test_log_is_one_object_a_line_with_its_fields(lines: io.StringIO) -> None:
    log = logging.getLogger("neuraxis.test")
    log.debug("not shown")
    log.info("snapshot written to %s", "disk", extra={"tick": 7, "facts": {"bytes": 3, "name": "µ"}})
    log.warning("odd", extra={"facts": "no dict", "thing": {1}})
    first, second = map(json.loads, lines.getvalue().splitlines())
    assert first.pop("time").endswith("+00:00")
    assert first == {
        "level": "INFO",
        "logger": "neuraxis.test",
        "event": "snapshot written to disk",
        "tick": 7,
        "bytes": 3,
        "name": "µ",
    }
    assert (second["facts"], second["thing"]) == ("no dict", "{1}")


def test_exception_is_logged_with_its_traceback(lines: io.StringIO) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("neuraxis.test").exception("it failed")
    (line,) = lines.getvalue().splitlines()
    assert json.loads(line)["exception"].endswith("ValueError: broken")


def test_log_of_others_is_left_alone(lines: io.StringIO) -> None:
    logging.getLogger("other").warning("not ours")
    assert lines.getvalue() == ""
    assert not logging.getLogger(ROOT).propagate


@given(st.text(), st.dictionaries(st.sampled_from(["a", "b"]), st.text() | st.integers() | st.none()))
def test_log_line_is_one_line_whatever_it_says(event: str, facts: dict[str, Any]) -> None:
    record = logging.makeLogRecord({"name": "neuraxis", "msg": event, "levelname": "INFO", "facts": facts})
    line = JsonLines().format(record)
    assert "\n" not in line
    assert json.loads(line)["event"] == event
    assert {name: json.loads(line)[name] for name in facts} == facts


# -------------------------------------------------------------------------------- report


def report(**changes: Any) -> Report:
    facts: dict[str, Any] = {
        "title": "ring",
        "summary": "A token goes round.",
        "passed": True,
        "facts": {"seed": "7"},
        "figures": {},
        "expectations": (),
        "charts": (),
    }
    return Report(**{**facts, **changes})


def test_report_is_one_page_that_needs_nothing_else() -> None:
    page = render(report())
    assert page.startswith("<!doctype html>")
    assert "<title>ring: passed</title>" in page
    assert "<td>seed</td><td>7</td>" in page
    assert "Expectations" not in page
    assert "Figures" not in page
    assert not any(part in page for part in ("http", "<script", "@import", "url("))


def test_report_tells_figures_and_which_expectations_hold() -> None:
    expectations = [("ear.heard", "at least 3", "5", True), ("ear.lost", "0", "2", False)]
    page = render(report(passed=False, figures={"ear.heard": 5, "ear.mean": 1 / 3}, expectations=expectations))
    assert "<title>ring: failed</title>" in page
    assert "<h2>Expectations: failed</h2>" in page
    assert "<td>ear.lost</td><td>0</td><td>2</td><td>NO</td>" in page
    assert "<td>5</td><td>yes</td>" in page
    assert "<td>ear.mean</td><td>0.333333</td>" in page


def test_charts_stand_in_the_page_as_pictures_and_tables() -> None:
    svg = b'<?xml version="1.0"?>\n<!DOCTYPE svg PUBLIC "x">\n<svg><path d="M0 0"/></svg>'
    charts = [
        ("ear", Chart("Spikes", "One dot a spike.", svg)),
        ("eye", Chart("Photo", picture=b"\x89PNG", form="png")),
        ("eye", Chart("Counts", rows=(("a", "b"), ("1", "2")))),
    ]
    page = render(report(charts=[render_chart(*each) for each in charts]))
    assert '<figure>\n\n<svg><path d="M0 0"/></svg></figure>' in page
    assert "<?xml" not in page
    assert "<!DOCTYPE svg" not in page
    assert "<h2>Spikes <small>ear</small></h2>" in page
    assert "<p class='caption'>One dot a spike.</p>" in page
    assert "<img alt='Photo' src='data:image/png;base64,iVBORw=='>" in page
    assert "<th>a</th><th>b</th>" in page
    assert "<td>1</td><td>2</td>" in page


def marked(text: str) -> str:
    """Return a report in which every text is `text`."""
    return render(
        Report(
            title=text,
            summary=text,
            passed=True,
            facts={text: text},
            figures={text: text},
            expectations=[(text, text, text, True)],
            charts=[render_chart(text, Chart(text, text, b"\0", "png", ((text,), (text,))))],
        )
    )


@given(st.text("<>&\"'a", min_size=1))
def test_text_in_a_report_is_never_taken_for_markup(text: str) -> None:
    for mark in "<>'\"":
        assert marked(text).count(mark) == marked("a").count(mark)
