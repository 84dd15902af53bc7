"""Names are printed letter by letter, whatever rich makes of their letters; a closed pipe ends quietly."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

from rich.table import Table
from rich.text import Text

from framework.terminal import Terminal, progress_bar, visible

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("plates/:x:/[red]one[/red].yaml", "[/]", "[bold", ":warning: 50%", "a\\[b]", "{x}")


def printed(*objects: object) -> str:
    stream = io.StringIO()
    Terminal(file=stream, width=60).print(*objects)
    return stream.getvalue()


def test_text_cells_rules_and_bars_keep_every_letter() -> None:
    for name in NAMES:
        assert printed(name) == f"{name}\n"
        table = Table(name, title=name, box=None)
        table.add_row(name)
        assert printed(table).count(name) == 3
        stream = io.StringIO()
        console = Terminal(file=stream, width=100, force_terminal=True, color_system=None)
        console.rule(name)
        with progress_bar("{task.description}", console, shown=True, last="{task.fields[text]}") as bar:
            bar.add_task(name, total=3, text=f"<{name}>")
        assert f" {name} " in stream.getvalue().splitlines()[0]
        assert f"K{name} " in stream.getvalue()
        assert f"<{name}>" in stream.getvalue()


def test_no_control_character_of_a_name_reaches_the_terminal() -> None:
    name = "a\x1b[2Jb\x07\r\x7f\x9bc\u202ed\u2028e"
    shown = r"a\x1b[2Jb\x07\x0d\x7f\x9bc\u202ed\u2028e"
    assert visible(name) == shown
    assert visible("é\t表\nb") == "é\t表\nb"
    assert printed(name) == printed(Text(visible(name))) == f"{shown}\n"
    assert printed(Text("a\x1b[2Jb")) == "a\\x1b[2Jb\n"
    table = Table(name, "n", title=name, box=None)
    table.add_row(name, "1")
    table.add_row("z" * len(shown), "2")
    lines = printed(table).splitlines()
    assert [line.strip()[: len(shown)] for line in lines[:3]] == [shown] * 3
    assert lines[2].rindex("1") == lines[3].rindex("2"), "the width of a column counts the escapes"
    stream = io.StringIO()
    console = Terminal(file=stream, width=150, force_terminal=True, color_system=None)
    console.rule(name)
    with progress_bar("{task.description}", console, shown=True) as bar:
        bar.add_task(name, total=3)
    assert shown in stream.getvalue().splitlines()[0]
    assert "\x1b[2Jb" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()


def test_a_long_path_is_not_broken_into_lines() -> None:
    path = "/".join(["folder"] * 40)
    assert printed(path) == f"{path}\n"


def test_when_nobody_reads_the_output_a_process_ends_quietly_and_what_is_said_beside_it_is_dropped() -> None:
    script = (
        "from framework.terminal import Terminal\n"
        "beside, out = Terminal(stderr=True), Terminal()\n"
        "for _ in range(3): beside.print('x' * 100_000)\n"
        "while True: out.print('y' * 100_000)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stderr.close()
        assert process.stdout.read(3) == b"yyy"
        process.stdout.close()
        assert process.wait(timeout=60) == 141
