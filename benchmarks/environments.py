"""A virtual environment per system under `.bench/`, made on demand and made again when its recipe changes."""

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TextIO

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENTS = ROOT / ".bench"

# What pip is asked for, one command after the other. The pins are those that are known to work together on
# Python 3.11: spu 0.9.5 breaks silently under newer jax or numpy, and crypten 0.4.1 depends on a package that is gone.
RECIPES: Mapping[str, Sequence[Sequence[str]]] = {
    "spu": (("spu==0.9.5", "jax[cpu]==0.4.34", "numpy<2", "protobuf<6"),),
    "crypten": (
        (
            "torch==2.13.0",
            "numpy<2",
            "scipy",
            "pandas",
            "pyyaml",
            "onnx",
            "omegaconf",
            "future",
            "tensorboard",
            "scikit-learn",
        ),
        ("--no-deps", "crypten==0.4.1", "torchvision==0.28.0"),
    ),
    "tacit": (("--config-settings", f"build-dir={ENVIRONMENTS / 'build'}", str(ROOT)),),
}


class SetupError(Exception):
    """pip could not make a system's environment."""


def python_of(system: str) -> Path:
    """Return the interpreter of the system's environment, making the environment first if it is not there."""
    folder = ENVIRONMENTS / system
    python, stamp = folder / "bin" / "python", folder / "recipe.sha256"
    recipe = _fingerprint(system)
    if stamp.exists() and stamp.read_text() == recipe:
        return python
    print(f"setting up {folder.relative_to(ROOT)} (its output: {_log(system).relative_to(ROOT)})", file=sys.stderr)
    stamp.unlink(missing_ok=True)
    _log(system).parent.mkdir(parents=True, exist_ok=True)
    with _log(system).open("w") as log:
        if system != "tacit":  # a peer is made afresh; Tacit is only installed again over its dependencies
            shutil.rmtree(folder, ignore_errors=True)
        if not python.exists():
            _call(system, [sys.executable, "-m", "venv", str(folder)], log)
        for packages in RECIPES[system]:
            _call(system, [str(python), "-m", "pip", "install", "--disable-pip-version-check", *packages], log)
    stamp.write_text(recipe)
    return python


def _call(system: str, command: list[str], log: TextIO) -> None:
    if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
        raise SetupError(f"the environment of {system} could not be made; see {_log(system)}")


def _log(system: str) -> Path:
    return ENVIRONMENTS / "logs" / f"install-{system}.log"


def _fingerprint(system: str) -> str:
    """Hash the recipe, the interpreter and, for Tacit, every source file."""
    digest = hashlib.sha256(repr((RECIPES[system], sys.version)).encode())
    if system == "tacit":
        sources = (path for folder in ("src", "native") for path in (ROOT / folder).rglob("*") if path.is_file())
        for path in sorted([ROOT / "pyproject.toml", *(p for p in sources if p.suffix not in {".pyc", ".so"})]):
            digest.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()
