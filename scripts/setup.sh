#!/usr/bin/env bash
# Sets this checkout up, in two steps that the Makefile repeats only when what they depend on has changed:
#   setup.sh environment   .venv with every package that pyproject.toml names
#   setup.sh native        the C++ kernels, and Tacit itself installed in place
# Says what it does, and names what is missing when it cannot go on. As root on a system with apt-get it installs a
# missing compiler or Python part itself.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

VENV=.venv
OLDEST="3.11"

main() {
  local step=${1:-}
  [[ $step == environment || $step == native ]] || fail "usage: scripts/setup.sh environment|native"
  LOG=build/setup-$step.log
  mkdir -p build
  : >"$LOG"
  "$step"
}

environment() {
  local python requirements
  if ! "$VENV/bin/python" -m pip --version >/dev/null 2>&1; then
    python=$(find_python)
    need_python_parts "$python"
    say "creating $VENV with $("$python" --version)"
    "$python" -m venv --clear "$VENV" >>"$LOG" 2>&1 || stop "could not create $VENV"
  fi
  requirements=build/requirements.txt
  "$VENV/bin/python" scripts/requirements.py >"$requirements"
  say "installing $(wc -l <"$requirements") packages and what they need (minutes on a fresh machine; log: $LOG)"
  pip_install --requirement "$requirements" || stop "could not install the packages"
  say "the Python environment is ready"
}

native() {
  local started=$SECONDS
  need_compiler
  say "building the kernels with $("$(compiler)" --version | head -n 1)"
  CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)} PATH="$PWD/$VENV/bin:$PATH" \
    pip_install --no-deps --no-build-isolation --editable . || stop "could not build the kernels"
  "$VENV/bin/python" -c "import tacit._native" >>"$LOG" 2>&1 || stop "the kernels were built but cannot be imported"
  say "the kernels are ready ($((SECONDS - started)) s)"
}

# Runs pip; everything goes to the log, and one line to the terminal for each package it fetches.
pip_install() {
  "$VENV/bin/python" -m pip --disable-pip-version-check install --progress-bar off "$@" 2>&1 |
    tee -a "$LOG" | sed -un -e 's/^Collecting \([^ ]*\).*/[setup]   \1/p' -e 's|^Processing [^ ]*/\([^/ ]*\.whl\).*|[setup]   \1|p'
}

# What is needed of the system -------------------------------------------------------------------------------------

# Prints the first interpreter that is new enough: the one asked for in PYTHON, or else the usual names.
find_python() {
  local name found=""
  for name in ${PYTHON:-python3 python3.13 python3.12 python3.11 python}; do
    command -v "$name" >/dev/null 2>&1 || continue
    found=$("$name" -c 'import sys; print(".".join(map(str, sys.version_info[:3])))' 2>/dev/null) || continue
    if new_enough "$name"; then
      echo "$name"
      return
    fi
  done
  if [[ -n ${PYTHON:-} ]]; then
    fail "PYTHON=$PYTHON is ${found:-not an interpreter}, and Tacit needs Python $OLDEST or newer"
  fi
  if [[ -z $found ]]; then
    provide "Python $OLDEST or newer" python3 python3-venv python3-dev
    new_enough python3 && echo python3 && return
  fi
  fail "Tacit needs Python $OLDEST or newer, and the newest here is ${found:-too old}." \
    "Install one, and if its name is unusual say: make PYTHON=/path/to/python test"
}

new_enough() {
  "$1" -c "import sys; sys.exit(sys.version_info[:2] < tuple(map(int, '$OLDEST'.split('.'))))"
}

# Debian splits the module venv and the headers from the interpreter.
need_python_parts() {
  local package
  package=$(basename "$1")
  [[ $package == python3* ]] || package=python3
  "$1" -c "import venv, ensurepip" 2>/dev/null || provide "the Python module venv" "$package-venv"
  "$1" -c "import pathlib, sysconfig, sys
sys.exit(not pathlib.Path(sysconfig.get_path('include'), 'Python.h').exists())" ||
    provide "the header Python.h" "$package-dev"
}

need_compiler() {
  if [[ -z $(compiler) ]]; then
    [[ -z ${CXX:-} ]] || fail "CXX=$CXX is not a command"
    provide "a C++ compiler" g++
  fi
  if ! echo "#include <bit>
int main() { return std::popcount(0u); }" | "$(compiler)" -std=c++20 -x c++ -fsyntax-only - >>"$LOG" 2>&1; then
    fail "$(compiler) does not compile C++20. Install GCC 11 or Clang 14 or newer" \
      "(on Debian or Ubuntu: apt-get install g++), or name one: CXX=/path/to/compiler make"
  fi
}

# The compiler that CMake will choose.
compiler() {
  local name
  for name in ${CXX:-c++ g++ clang++}; do
    if command -v "$name"; then return; fi
  done
}

# provide WHAT PACKAGE...: installs what is missing where that can be done without asking; says how otherwise.
provide() {
  local what=$1
  shift
  if [[ $(id -u) -eq 0 ]] && command -v apt-get >/dev/null 2>&1; then
    say "$what is missing: installing $* with apt-get" >&2
    apt_install "$@" >>"$LOG" 2>&1 && return
    stop "$what is missing, and apt-get could not install $*"
  fi
  fail "$what is missing. Install it; on Debian or Ubuntu: apt-get install $*"
}

apt_install() {
  export DEBIAN_FRONTEND=noninteractive
  apt-get install -y --no-install-recommends "$@" || { apt-get update && apt-get install -y --no-install-recommends "$@"; }
}

# What the user reads ----------------------------------------------------------------------------------------------

say() { echo "[setup] $*"; }

fail() {
  echo "[setup] failed: $*" >&2
  exit 1
}

# Like fail, after the lines of the log that matter.
stop() {
  { grep -nE "error:|ERROR:|fatal:|^E: " "$LOG" | tail -n 20 || true; } >&2
  if grep -qE "NewConnectionError|Temporary failure in name resolution|Read timed out|Network is unreachable" "$LOG"; then
    echo "[setup] the package index did not answer: check the network, the proxy and pip's configuration" >&2
  fi
  fail "$1. The whole log is in $LOG"
}

main "$@"
