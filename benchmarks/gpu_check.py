"""Prove the GPU path on this machine: `python -m benchmarks.gpu_check`.

Every row is compared with the CPU or measured, and the table goes to `benchmarks/gpu.json` as
well. The exit code is 1 if a row failed, 0 otherwise and without a GPU, where nothing is checked.
"""

import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from rich.table import Table

from benchmarks.cases.distill import PAPER, SMALL, TINY, Setting
from benchmarks.gpu_agreement import (
    Baked,
    Row,
    demo_agrees,
    distillation_agrees,
    reconstruction_agrees,
    repeats,
    views_agree,
)
from benchmarks.gpu_speed import (
    distillation_speed,
    extraction_speed,
    reconstruction_speed,
    replace_growth,
    view_speed,
)
from benchmarks.report import environment
from ovs3d.errors import one_line
from ovs3d.files import write_json
from ovs3d.progress import plain_console

RESULTS = Path(__file__).parent / "gpu.json"
SHAPES = {"tiny": TINY, "small": SMALL, "paper": PAPER}
_TRUE_GRID = 640
"""Nodes along an axis of the paper's last grid."""
_FOG = 64
_CALLS = 20

Check = Callable[[], list[Row]]


def checks(device: torch.device) -> Iterable[tuple[str, Check]]:
    """Yield name and work of everything that is looked at, cheap things first."""
    for name, setting in SHAPES.items():
        yield from shape_checks(name, setting, device)
    sizes = replace(PAPER.sizes, grid=_TRUE_GRID)
    own = PAPER.reconstruct
    yield (
        "reconstruct paper 640",
        lambda: reconstruction_speed(f"paper, {_TRUE_GRID}^3", sizes, own, device, _CALLS),
    )
    yield "extraction", lambda: extraction_speed(device)
    yield "demo", lambda: demo_agrees(device)


def shape_checks(
    name: str,
    setting: Setting,
    device: torch.device,
    downscale: int = 4,
    calls: int = _CALLS,
) -> Iterable[tuple[str, Check]]:
    """Yield what is looked at for the shapes of one setting."""
    baked = Baked.of(setting)
    params, sizes = setting.reconstruct, setting.sizes
    # Untrained, a field is a fog, all of whose samples count: what a small grid has is enough.
    fog = {"voxels_end": min(sizes.grid, _FOG) ** 3, "downscale": downscale}
    fixed = replace_growth(params).model_copy(update=fog)
    yield f"distill {name}", lambda: distillation_agrees(name, baked, device)
    yield f"views {name}", lambda: views_agree(name, baked, device, 2 * downscale)
    yield (
        f"reconstruct {name}",
        lambda: reconstruction_agrees(name, baked, fixed, device),
    )
    yield f"repeats {name}", lambda: repeats(name, baked, device)
    yield f"distill {name}", lambda: distillation_speed(name, baked, device, calls)
    yield (
        f"reconstruct {name}",
        lambda: reconstruction_speed(name, sizes, params, device, calls),
    )
    yield f"view {name}", lambda: view_speed(name, baked, device, downscale)


def run(work: Iterable[tuple[str, Check]]) -> list[Row]:
    """Do all checks; one that breaks off is a failed row, and the others still run."""
    rows: list[Row] = []
    for name, check in work:
        try:
            found = check()
        except RuntimeError as error:  # among them: out of memory
            found = [Row(name, math.nan, limit=0.0, note=one_line(error))]
        rows += found
        for row in found:
            print(f"{row.name}: {row.value:.4g}", file=sys.stderr, flush=True)
    return rows


def report(rows: list[Row], device: str, results: Path) -> int:
    """Write rows as a table and as JSON; return the exit code."""
    table = Table("row", "value", "at most", "", "remark", title=f"{device}", title_justify="left")
    for row in rows:
        verdict = "" if row.limit is None else "FAILED" if row.failed else "ok"
        limit = "" if row.limit is None else f"{row.limit:g}"
        table.add_row(row.name, f"{row.value:.4g}", limit, verdict, row.note)
    plain_console().print(table)
    content = [
        {
            "name": row.name,
            "value": None if math.isnan(row.value) else row.value,
            "limit": row.limit,
            "failed": row.failed,
            "note": row.note,
        }
        for row in rows
    ]
    write_json(results, {"device": device, "environment": environment(), "rows": content})
    failed = sum(row.failed for row in rows)
    print(f"{failed} of {len(rows)} rows failed; {results}", file=sys.stderr)
    return 1 if failed else 0


def main() -> int:
    """Check the GPU of this machine, if it has one."""
    if not torch.cuda.is_available():
        print("gpu-check: torch finds no CUDA GPU here, nothing was checked", file=sys.stderr)
        return 0
    device = torch.device("cuda")
    return report(run(checks(device)), torch.cuda.get_device_name(device), RESULTS)


if __name__ == "__main__":
    sys.exit(main())
