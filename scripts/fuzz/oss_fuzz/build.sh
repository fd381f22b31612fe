#!/bin/bash -eu
# Builds every target of scripts/fuzz/targets.py into $OUT: one launcher, one seed corpus each.
# On one's own machine: OUT=/tmp/out scripts/fuzz/oss_fuzz/build.sh --local, which needs no image and no PyInstaller.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=${SRC:+$SRC/webnn-simulator}
root=${root:-$(cd "$here/../../.." && pwd)}
mkdir -p "$OUT"
cd "$root"

if [[ ${1:-} != --local ]]; then
  pip3 install ".[fuzz]"
fi

for name in $(python3 -c "from scripts.fuzz.targets import TARGETS; print(*TARGETS)"); do
  target="fuzz_$name"
  seeds=$(mktemp -d)
  python3 -m scripts.fuzz.guided seeds "$name" "$seeds"
  python3 -c "import shutil, sys; shutil.make_archive(sys.argv[1], 'zip', sys.argv[2])" "$OUT/${target}_seed_corpus" "$seeds"
  rm -r "$seeds"
  launcher="$OUT/$target.py"
  printf 'import sys\n\nfrom scripts.fuzz.guided import fuzz\n\nfuzz("%s", sys.argv[1:])\n' "$name" > "$launcher"
  if [[ ${1:-} == --local ]]; then
    printf '#!/bin/sh\nPYTHONPATH="%s" exec python3 "%s" "$@"\n' "$root" "$launcher" > "$OUT/$target"
    chmod +x "$OUT/$target"
  else
    compile_python_fuzzer "$launcher"
  fi
done
