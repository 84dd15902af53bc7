"""Results as files and tables: one JSON per theme, hardware and day; a table on the terminal, one in the docs."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import re
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness import Finding, Measured

RESULTS = Path(__file__).parent / "results"
MARKERS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")
_NAME = re.compile(r"[^_]+_(?P<hardware>.+?)_(?P<day>\d{4}-\d\d-\d\d)(_quick)?")
_PACKAGES = (
    "numpy",
    "torch",
    "scipy",
    "scikit-learn",
    "scikit-image",
    "opencv-python-headless",
    "tifffile",
    "imagecodecs",
    "dask",
)
_PEERS = ("webdataset", "litdata", "tensorstore", "zarr", "zarrs", "pytorch-metric-learning", "mosaicml-streaming")


def show(result: Measured, console: Console) -> None:
    """Print one row per arm: ratio to the limit and rate with range; then targets, findings and notes."""
    table = Table(title=f"{result.theme}, {result.case}: ratios to {result.limit}")
    columns = ("arm", "ratio", f"{result.unit}/s (median)", "min", "max", "MB/s", "first s", "peak MB", "CPU s/1,000")
    for column in columns:
        table.add_column(column, justify="left" if column == "arm" else "right")
    costs = result.costs
    for arm, seconds in costs.seconds.items():
        rates = sorted(result.items / value for value in seconds)
        median = statistics.median(rates)
        cpu = costs.cpu_seconds.get(arm)
        table.add_row(
            arm,
            f"{result.ratio(arm):.3f}",
            f"{median:,.4g}" if median < 1000 else f"{median:,.0f}",
            f"{rates[0]:,.4g}" if median < 1000 else f"{rates[0]:,.0f}",
            f"{rates[-1]:,.4g}" if median < 1000 else f"{rates[-1]:,.0f}",
            f"{median * result.item_bytes / 1e6:,.0f}" if result.item_bytes else "",
            f"{costs.first_s[arm]:.3f}" if arm in costs.first_s else "",
            f"{costs.peak_mb[arm]:,.0f}" if arm in costs.peak_mb else "",
            f"{statistics.median(cpu) / result.items * 1000:.3g}" if cpu else "",
        )
    console.print(table)
    for line in _verdicts(result):
        console.print(line)


def _verdicts(result: Measured) -> Iterable[str]:
    for target in result.targets:
        if target.over in result.costs.seconds:
            ratio = result.ratio(target.arm, target.over)
            word = "met" if ratio >= target.least else "MISSED"
            yield f"{word}: {target.arm} / {target.over} = {ratio:.3g}, target >= {target.least:g}"
    for item in result.findings:
        word = "" if item.least is item.most is None else "met: " if item.met else "MISSED: "
        yield f"{word}{item.name} = {item.value:.4g} {item.unit}{_bound(item)}"
    yield from result.notes
    for name, reason in result.absent.items():
        yield f"absent: {name}: {reason}"


def write(theme: str, results: Sequence[Measured], *, quick: bool, device: str, folder: Path = RESULTS) -> Path:
    """Write ``<theme>_<hardware>_<date>.json`` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    now = datetime.now(UTC)
    accelerator = f"-{torch.cuda.get_device_name().replace(' ', '-')}" if device == "cuda" else ""
    hardware = f"{psutil.cpu_count(logical=True)}cpu-{platform.machine()}{accelerator}"
    path = folder / f"{theme}_{hardware}_{now.date().isoformat()}{'_quick' if quick else ''}.json"
    facts = {
        "theme": theme,
        "quick": quick,
        "measured_at": now.isoformat(timespec="seconds"),
        "cases": [_plain(result) for result in results],
        "cpu": _cpu_name(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "commit": _commit(),
        "load_at_end": psutil.getloadavg()[0],
        "versions": _versions(),
    }
    path.write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    return path


def picture_of(file: Path) -> Path:
    """Where the picture of a results file lies, if its theme draws one."""
    return file.with_suffix(".svg")


def _plain(result: Measured) -> dict[str, Any]:
    costs = result.costs
    arms = {
        arm: {
            "seconds": [float(f"{value:.5g}") for value in seconds],
            "ratio": float(f"{result.ratio(arm):.4g}"),
            "per_s": float(f"{result.items / statistics.median(seconds):.5g}"),
            "cpu_s_per_1000": _rounded(costs.cpu_seconds, arm, 1000 / result.items),
            "first_s": float(f"{costs.first_s[arm]:.3g}") if arm in costs.first_s else None,
            "peak_mb": float(f"{costs.peak_mb[arm]:.4g}") if arm in costs.peak_mb else None,
        }
        for arm, seconds in costs.seconds.items()
    }
    targets = [
        {
            "arm": target.arm,
            "over": target.over,
            "least": target.least,
            "ratio": float(f"{result.ratio(target.arm, target.over):.4g}"),
            "gates": target.gates,
        }
        for target in result.targets
        if target.over in costs.seconds
    ]
    return {
        "case": result.case,
        "unit": result.unit,
        "items": result.items,
        "item_bytes": result.item_bytes,
        "limit": result.limit,
        "arms": arms,
        "targets": targets,
        "findings": [{**vars(item), "met": item.met} for item in result.findings],
        "absent": dict(result.absent),
        "notes": list(result.notes),
    }


def _rounded(values: Mapping[str, list[float]], arm: str, factor: float) -> float | None:
    return float(f"{statistics.median(values[arm]) * factor:.4g}") if values.get(arm) else None


def page_table(folder: Path = RESULTS) -> str:
    """Return Markdown: how many targets each theme meets and which it misses; folded below, every measurement.

    A measurement is a target, or a finding that is a ratio or has bounds. Of each theme and device it takes the newest
    full result; a quick one stands in only where there is no full one.
    """
    lines: list[_Line] = []
    sources, absent, pictures = [], {}, []
    for file, facts in _newest(folder):
        theme = facts["theme"] if facts["device"] == "cpu" else f"{facts['theme']}, {facts['device']}"
        sources.append(_source(theme, file, facts))
        if picture_of(file).exists():
            pictures.append(f"![{theme}](../{folder.parent.name}/{folder.name}/{picture_of(file).name})")
        for case in facts["cases"]:
            lines += _lines(theme, case)
            absent |= {name: str(reason).splitlines()[0] for name, reason in case["absent"].items()}
    missing = [f"Absent: {name} ({reason})." for name, reason in sorted(absent.items())]
    parts = [_summary(lines), _folded(lines), *pictures, "\n".join([" ".join(sources), *missing])]
    return "\n\n".join(parts)


@dataclass(frozen=True, kw_only=True)
class _Line:
    """One measurement of the table."""

    theme: str
    what: str
    value: str
    bound: str
    good: bool


def _summary(lines: Sequence[_Line]) -> str:
    rows = ["| theme | targets met | missed |", "|---|---|---|"]
    for theme in dict.fromkeys(line.theme for line in lines):
        bound = [line for line in lines if line.theme == theme and line.bound]
        missed = [f"{line.what}: **{line.value}** ({line.bound})" for line in bound if not line.good]
        met = f"{len(bound) - len(missed)} of {len(bound)}"
        rows.append(f"| {theme} | {met} | {'<br>'.join(missed)} |")
    return "\n".join(rows)


def _folded(lines: Sequence[_Line]) -> str:
    rows = ["| theme | measured | result | target | |", "|---|---|---|---|---|"]
    rows += [
        f"| {line.theme} | {line.what} | **{line.value}** | {line.bound} | {'' if line.good else 'missed'} |"
        for line in lines
    ]
    return "\n".join(['<details markdown="1"><summary>Every measurement</summary>', "", *rows, "", "</details>"])


def _source(theme: str, file: Path, facts: Mapping[str, Any]) -> str:
    quick = ", a quick run and so no result" if facts["quick"] else ""
    where = facts["cpu"] if facts["device"] == "cpu" else f"{facts['device']}, {facts['cpu']}"
    return f"{theme}: {_day(file, facts)}, {where} ({_hardware(file)}), commit {facts['commit']}{quick}."


def _lines(theme: str, case: Mapping[str, Any]) -> Iterable[_Line]:
    for target in case["targets"]:
        what = f"{case['case']}: {target['arm']} / {target['over']}"
        good = target["ratio"] >= target["least"]
        yield _Line(theme=theme, what=what, value=f"{target['ratio']:.3g}", bound=f">= {target['least']:g}", good=good)
    for item in case["findings"]:
        finding = Finding(**{key: value for key, value in item.items() if key != "met"})
        bound = _bound(finding).removeprefix(", target ")
        if bound or finding.unit in ("x", "share"):
            value = f"{finding.value:.3g} {'' if finding.unit == 'x' else finding.unit}".strip()
            what = f"{case['case']}: {finding.name}"
            yield _Line(theme=theme, what=what, value=value, bound=bound, good=finding.met)


def update_page(page: Path, folder: Path = RESULTS) -> None:
    """Put the table between the markers of a page.

    Raises:
        ValueError: it has no markers, or a results file is not one.
    """
    put_between(page, MARKERS, page_table(folder))


def put_between(page: Path, markers: tuple[str, str], content: str) -> None:
    """Replace what stands between two lines of a page.

    Raises:
        ValueError: it does not have both of them, once each.
    """
    text = page.read_text(encoding="utf-8")
    if any(text.count(marker) != 1 for marker in markers):
        raise ValueError(f"{page}: expected the lines {markers[0]} and {markers[1]}, once each")
    before, rest = text.split(markers[0])
    after = rest.split(markers[1])[1]
    page.write_text(f"{before}{markers[0]}\n{content}\n{markers[1]}{after}", encoding="utf-8")


def _newest(folder: Path) -> list[tuple[Path, dict[str, Any]]]:
    """(file, content) of the newest full result of each theme and device, by theme."""
    found: dict[tuple[str, str], tuple[tuple[bool, str, str], Path, dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        facts = _read(file)
        of = (facts["theme"], facts["device"])
        age = (not facts["quick"], _day(file, facts), facts.get("measured_at", ""))
        if of not in found or age >= found[of][0]:
            found[of] = (age, file, facts)
    # The CPU first.
    order = sorted(found, key=lambda of: (of[0], of[1] != "cpu", of[1]))
    return [found[of][1:] for of in order]


def _read(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
        missing = {"theme", "quick", "device", "cpu", "commit", "cases"} - set(facts)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: not a file of results ({error}); remove it or measure again") from None
    if missing:
        raise ValueError(f"{file}: a file of results without {', '.join(sorted(missing))}; remove it or measure again")
    return facts


def _day(file: Path, facts: Mapping[str, Any]) -> str:
    found = _NAME.fullmatch(file.stem)
    return str(facts.get("measured_at", found["day"] if found else ""))[:10]


def _hardware(file: Path) -> str:
    found = _NAME.fullmatch(file.stem)
    return found["hardware"] if found else "unknown"


def _bound(item: Finding) -> str:
    bounds = [f">= {item.least:g}"] if item.least is not None else []
    bounds += [f"<= {item.most:g}"] if item.most is not None else []
    return f", target {' and '.join(bounds)}" if bounds else ""


def _versions() -> dict[str, str]:
    found = {}
    for name in (*_PACKAGES, *_PEERS):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "absent"
    return found


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )


def _commit() -> str:
    command = ["git", "rev-parse", "--short", "HEAD"]
    here = {"cwd": Path(__file__).parents[1], "capture_output": True, "text": True, "check": False}
    done = subprocess.run(command, **here)  # type: ignore[call-overload] # noqa: S603
    changed = ["git", "status", "--porcelain", "--untracked-files=no", "--", "*.py"]
    local = subprocess.run(changed, **here).stdout.strip()  # type: ignore[call-overload] # noqa: S603
    return f"{done.stdout.strip() or 'unknown'}{' with local changes' if local else ''}"
