"""One run of a study as a process of its own: `python -m crl.study.play STUDY ARM SEED [--root FOLDER]`."""

import argparse
from pathlib import Path

from crl.study.definition import load_study
from crl.study.place import ROOT, StudyRun
from crl.study.run import play


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m crl.study.play", description="Play one run of a study to its end.")
    parser.add_argument("study", help="a name in conf/study")
    parser.add_argument("arm")
    parser.add_argument("seed", type=int)
    parser.add_argument("--root", type=Path, default=ROOT, help=f"where runs lie (default: {ROOT})")
    asked = parser.parse_args()
    play(StudyRun(load_study(asked.study), asked.arm, asked.seed, asked.root))


if __name__ == "__main__":
    main()
