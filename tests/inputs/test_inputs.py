"""How `python -m tests.inputs` judges, and one case from its writing to its verdict."""

from pathlib import Path

import pytest

from tests.inputs.__main__ import main, run
from tests.inputs.expected import Expected, judge
from tests.inputs.run import Ended, case_names, make_project

TAKEN = Ended("ovs3d new-scene a b", 0, "made", "photos: 3/3\n")
REFUSED = Ended("ovs3d new-scene a b", 2, "", "photos: 3/3\novs3d new-scene: b: bad words\n")
CRASHED = Ended("ovs3d new-scene a b", 1, "", "Traceback (most recent call last):\nKeyError: 3\n")
SILENT = Ended("ovs3d new-scene a b", 2, "", "")


@pytest.mark.parametrize(
    ("expected", "ended", "problem"),
    [
        (Expected("taken"), TAKEN, None),
        (Expected("refused"), TAKEN, "taken: made"),
        (Expected("taken"), REFUSED, "refused: ovs3d new-scene: b: bad words"),
        (Expected("refused", "bad"), REFUSED, None),
        (Expected("refused", "good"), REFUSED, "without the words 'good'"),
        (Expected("either", without="bad"), REFUSED, "says 'bad'"),
        (Expected("either"), CRASHED, "a traceback"),
        (Expected("either"), SILENT, "code 2, 0 lines"),
        (Expected("taken", check=lambda *_: "wrong colour"), TAKEN, "wrong colour"),
    ],
)
def test_verdicts(expected: Expected, ended: Ended, problem: str | None) -> None:
    found = judge(expected, [ended], Path(), Path())
    assert found == problem if problem is None else found is not None and problem in found


_MAKE = '''
import argparse
from pathlib import Path

def case(*commands):
    return lambda write: write

@case(NEW)
def label_slash(out):
    """A label with a slash."""

parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("--only", nargs="+")
parser.add_argument("--repo")
arguments = parser.parse_args()
(arguments.out / "label-slash").mkdir(parents=True)
command = f"ovs3d new-scene in-label-slash {arguments.out}/label-slash --labels 'cat/dog, wall'"
(arguments.out / "commands.sh").write_text(f"set -x\\n# label-slash: A label.\\n{command}\\n")
'''


@pytest.mark.slow
def test_a_case_is_made_and_run(tmp_path: Path) -> None:
    (tmp_path / "make.py").write_text(_MAKE.replace("@case(NEW)", "@case()"))
    assert case_names(tmp_path) == ["label-slash"]
    make_project(tmp_path / "project")
    verdict = run(tmp_path, "label-slash", tmp_path / "out", tmp_path / "project")
    # There is no photo either, which is found first.
    assert verdict.startswith("WRONG: refused without the words 'cannot hold '/''")


def test_without_cases_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "nowhere")]) == 0
    assert "skipped" in capsys.readouterr().out
