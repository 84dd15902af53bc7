"""Scripts that call ``ingest`` with and without a guard; the workers of both begin."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest

from data_tools.pipeline.build.script import has_guard, script_left_alone

_CALL = """
import sys
from pathlib import Path
from data_tools.pipeline.build.runner import open_runner

print("imported as", __name__)

def main():
    with open_runner(None, 2, 2, Path(sys.argv[1])) as runner:
        print("answers", list(runner.each(abs, [-1, -2])))
    print("file", Path(__file__).name, "spec", __spec__)

"""
_GUARD = 'if __name__ == "__main__":\n    '


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print(1)\n", False),
        ("def main():\n    if __name__ == '__main__':\n        pass\n", False),
        ("if __name__ == '__main__':\n    print(1)\n", True),
        ("if '__main__' == __name__ and True:\n    print(1)\n", True),
        ("if __name__ == \n", True),
        ("a = '\0'\n", True),
    ],
)
def test_a_guard_is_an_if_of_the_outermost_level(tmp_path: Path, text: str, expected: bool) -> None:
    script = tmp_path / "script.py"
    script.write_text(text, encoding="utf-8")
    assert has_guard(script) is expected
    assert has_guard(tmp_path / "none.py") is True


@pytest.mark.parametrize(("guard", "imports"), [("", 1), (_GUARD, 3)])
def test_workers_begin_whether_or_not_the_script_has_a_guard(tmp_path: Path, guard: str, imports: int) -> None:
    script = tmp_path / "mine.py"
    script.write_text(textwrap.dedent(_CALL) + guard + "main()\n", encoding="utf-8")
    done = subprocess.run([sys.executable, script, tmp_path], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "answers [1, 2]" in done.stdout
    assert "file mine.py spec None" in done.stdout
    # A script with a guard is imported by both workers too, so what it registers is known there.
    assert done.stdout.count("imported as") == imports


def test_the_file_comes_back_when_the_last_of_two_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "mine.py"
    script.write_text("print(1)\n", encoding="utf-8")
    main = ModuleType("__main__")
    main.__file__ = str(script)
    monkeypatch.setitem(sys.modules, "__main__", main)
    first, second = script_left_alone(), script_left_alone()
    first.__enter__()
    second.__enter__()
    assert main.__file__ is None
    first.__exit__(None, None, None)
    assert main.__file__ is None
    second.__exit__(None, None, None)
    assert main.__file__ == str(script)
