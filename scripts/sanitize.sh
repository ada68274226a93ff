#!/usr/bin/env bash
# Builds the kernels with AddressSanitizer and UndefinedBehaviorSanitizer beside the ordinary build, and runs
# tests/native on them. Arguments go to pytest.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=$PWD/.venv/bin/python
BUILD=build/sanitize
SITE=$BUILD/site
PATH="$PWD/.venv/bin:$PATH"

main() {
  if [[ ! -d tests/native ]]; then
    echo "[sanitize] tests/native does not exist: there is nothing to run" >&2
    exit 1
  fi
  mkdir -p build
  echo "[sanitize] building into $BUILD"
  cmake -S native -B "$BUILD/cmake" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DTACIT_SANITIZE=ON \
    -DPython_EXECUTABLE="$PYTHON" >"$BUILD.log" 2>&1 || broken
  cmake --build "$BUILD/cmake" --parallel "$(nproc)" >>"$BUILD.log" 2>&1 || broken
  assemble_package
  run_tests "$@"
}

# The package's sources by link, and the instrumented extension in place of the ordinary one.
assemble_package() {
  rm -rf "$SITE"
  mkdir -p "$SITE/tacit"
  find "$PWD/src/tacit" -mindepth 1 -maxdepth 1 ! -name '_native*.so' ! -name __pycache__ -exec ln -s {} "$SITE/tacit/" \;
  cmake --install "$BUILD/cmake" --prefix "$SITE" >>"$BUILD.log" 2>&1 || broken
}

# Without site (-S) the editable install's import hook is not loaded, so that the instrumented package is the one
# that is found. Python itself is not instrumented: its runtime libraries come first by LD_PRELOAD, with the C++
# library beside them because the sanitizer must find the functions that throw; and it leaks on purpose at its end.
# pytest leaves the real standard error alone, where the sanitizers write their report before they stop the process.
run_tests() {
  local compiler packages preload
  compiler=$(sed -n 's/^CMAKE_CXX_COMPILER:[A-Z]*=//p' "$BUILD/cmake/CMakeCache.txt")
  packages=$("$PYTHON" -c "import sysconfig; print(sysconfig.get_path('purelib'))")
  preload="$(library libasan.so) $(library libubsan.so) $(library libstdc++.so.6)"
  echo "[sanitize] running tests/native"
  LD_PRELOAD="$preload" \
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1:handle_segv=2 \
    UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    PYTHONPATH="$PWD/$SITE:$packages" PYTHONMALLOC=malloc \
    "$PYTHON" -S -m pytest --hypothesis-profile=ci --capture=sys -o timeout=1200 \
    -o cache_dir="$BUILD/cache" tests/native "$@"
}

library() {
  local path
  path=$("$compiler" -print-file-name="$1")
  if [[ ! -e $path ]]; then
    echo "[sanitize] failed: $compiler has no $1. Use GCC with its sanitizer libraries" >&2
    exit 1
  fi
  echo "$path"
}

broken() {
  grep -E "error:|Error" -A 5 "$BUILD.log" | head -n 40 >&2 || true
  echo "[sanitize] failed: could not build. The whole log is in $BUILD.log" >&2
  exit 1
}

main "$@"
