"""From the first line of the command to its exit code: interrupts, faults, closed pipes, names of any bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from framework.exit_codes import STEP_VARIABLE
from launch import show
from launch.switches import without_switches

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run(program: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Run ``entry.main`` after ``program`` has replaced what the command does."""
    code = f"import sys\nfrom launch import entry, later\n{program}\nentry.main()\n"
    command = [sys.executable, "-c", code, "inspect", "x"]
    heard = {"text": True, "capture_output": True, "timeout": 300, "preexec_fn": hear_ctrl_c, **options}
    return subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, **heard)  # type: ignore[call-overload, no-any-return]


def hear_ctrl_c() -> None:
    """Tests in the background of a shell without job control inherit that Ctrl-C is ignored."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def signalled(number: str) -> str:
    """Return a program whose command gets a signal where Python cannot raise it."""
    return (
        "import signal, time, types\n"
        "class Callback:\n"
        f"    def __del__(self): signal.raise_signal(signal.{number})\n"
        "def dataset(opened):\n"
        "    Callback()\n"
        "    time.sleep(30)\n"
        "later.Dataset = types.SimpleNamespace(open=dataset)\n"
    )


@pytest.mark.parametrize(
    ("number", "code", "said"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "ended by SIGTERM")]
)
def test_a_signal_is_a_sentence_also_one_that_python_cannot_raise(number: str, code: int, said: str) -> None:
    done = run(signalled(number))
    assert (done.returncode, done.stderr) == (code, f"wellstream: {said}; run the same command again to continue\n")


@pytest.mark.parametrize(("number", "code", "said"), [("SIGINT", 130, ""), ("SIGTERM", 143, "ended by SIGTERM")])
def test_a_step_leaves_it_to_its_study_to_say_that_ctrl_c_came(number: str, code: int, said: str) -> None:
    """Both said the same sentence; what ended the step alone, the study does not know."""
    done = run(f"import os\nos.environ['{STEP_VARIABLE}'] = '1'\n{signalled(number)}")
    assert (done.returncode, said in done.stderr, bool(done.stderr)) == (code, True, bool(said))


SLOW = "import os, time\nos.unlink(__file__)\nprint('importing', flush=True)\n"
LOSES = "try: time.sleep(60)\nexcept BaseException: pass\n"


@pytest.mark.parametrize(
    ("module", "does"),
    [
        *((name, "time.sleep(60)\n") for name in ("typer", "dataclasses", "typing", "difflib")),
        ("pandas", f"{LOSES}time.sleep(60)\n"),
        ("pandas", f"{LOSES}raise AttributeError('partially initialized module')\n"),
        ("typer", f"{LOSES}{LOSES}time.sleep(60)\n"),
    ],
)
def test_ctrl_c_while_it_still_imports_is_a_sentence(module: str, does: str, tmp_path: Path) -> None:
    """A module that the command imports stands for any: it takes long, and may lose the interrupt or fail for it."""
    slow = f"{SLOW}{does}"
    (tmp_path / f"{module}.py").write_text(slow)
    with subprocess.Popen(
        [sys.executable, "-m", "launch", "inspect", "x"],
        cwd=ROOT,
        env={**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=hear_ctrl_c,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "importing\n"
        # Let it fall asleep: a signal that comes just before that is only heard when the sleep has ended.
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, "wellstream: interrupted; run the same command again to continue\n")


@pytest.mark.parametrize("module", ["launch", "wellstream"])
def test_the_package_runs_as_the_command(module: str) -> None:
    command = [sys.executable, "-m", module, "inspect", "nowhere"]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, capture_output=True, timeout=300, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("wellstream: nowhere: no such dataset folder")


def test_its_first_lines_import_next_to_nothing() -> None:
    """What they import is time in which Ctrl-C still shows a traceback."""
    code = (
        "import __future__, importlib, os, signal, sys\n"
        "before = set(sys.modules)\n"
        "from launch.entry import main\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    command = [sys.executable, "-S", "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, text=True, capture_output=True, timeout=300, check=True)
    assert done.stdout == "atexit framework framework.exit_codes launch launch.entry\n"


def test_a_fault_is_a_sentence_with_its_line_and_a_full_disk_names_the_file() -> None:
    fault = run("def room(name): return {}['gene']\nlater.Dataset = type('D', (), {'open': room})")
    assert fault.returncode == 1
    assert fault.stderr.startswith("wellstream: unexpected KeyError: 'gene' (<string>:3, room); this is a fault")
    full = run(
        "import errno\ndef room(name): raise OSError(errno.ENOSPC, 'No space left on device', 'a:x:.tar')\n"
        "later.Dataset = type('D', (), {'open': room})"
    )
    assert (full.returncode, full.stderr) == (
        2,
        "wellstream: a:x:.tar: no space left on device; make room, then run the same command again\n",
    )


def test_a_name_that_is_no_text_is_printed_as_its_bytes() -> None:
    code = (
        "import os\n"
        "from framework.errors import InputError\n"
        "from launch import entry, later\n"
        "def room(name): raise InputError(os.fsdecode(b'caf\\xe9.tif: damaged'))\n"
        "later.Dataset = type('D', (), {'open': room})\n"
        "entry.main()\n"
    )
    command = [sys.executable, "-c", code, "inspect", "x"]
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "utf-8"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (2, b"wellstream: caf\xe9.tif: damaged\n")


def test_debug_may_stand_anywhere_but_after_two_dashes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WELLSTREAM_DEBUG", raising=False)
    assert without_switches(["a", "--", "--debug"]) == ["a", "--", "--debug"]
    assert "WELLSTREAM_DEBUG" not in os.environ
    assert without_switches(["--debug", "a", "--", "b"]) == ["a", "--", "b"]
    assert os.environ.pop("WELLSTREAM_DEBUG") == "1"


def test_only_the_command_line_lets_code_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WELLSTREAM_ALLOW_CODE", "1")
    assert without_switches(["train", "run.yaml", "--", "--allow-code"])[-1] == "--allow-code"
    assert "WELLSTREAM_ALLOW_CODE" not in os.environ
    assert without_switches(["train", "run.yaml", "--allow-code"]) == ["train", "run.yaml"]
    assert os.environ["WELLSTREAM_ALLOW_CODE"] == "1"


def test_files_below_this_folder_are_named_as_people_type_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["wellstream", "train", "run.yaml"])
    assert show.as_typed(f"{tmp_path}/data/a.tar: damaged, see '{tmp_path}/b'") == "data/a.tar: damaged, see 'b'"
    assert (
        show.as_typed(f"/mnt{tmp_path}/data and file://{tmp_path}/x") == f"/mnt{tmp_path}/data and file://{tmp_path}/x"
    )
    monkeypatch.setattr(sys, "argv", ["wellstream", "inspect", f"{tmp_path}/data"])
    assert show.as_typed(f"{tmp_path}/data: no such folder") == f"{tmp_path}/data: no such folder"
