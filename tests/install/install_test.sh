#!/usr/bin/env bash
# install_test.sh BUILD SOURCE: installs BUILD into a temporary folder, builds the project of SOURCE against it and runs it.
set -euo pipefail
build=$1 source=$2
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cmake --install "$build" --prefix "$folder/usr" >/dev/null
for file in bin/outsole share/outsole/slurm/submit.sh share/outsole/data_schemas/outsole.index.v1.json; do
  [ -e "$folder/usr/$file" ] || { echo "not installed: $file" >&2; exit 1; }
done
cmake -S "$source" -B "$folder/build" -G Ninja -DCMAKE_PREFIX_PATH="$folder/usr" >/dev/null
cmake --build "$folder/build"
said=$("$folder/build/uses_outsole")
expected="6 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
[ "$said" = "$expected" ] || { echo "the project says '$said' instead of '$expected'" >&2; exit 1; }
if grep -rn "$(realpath "$build")" "$folder/usr/lib" --include='*.cmake'; then
  echo "the package names the build folder" >&2
  exit 1
fi
