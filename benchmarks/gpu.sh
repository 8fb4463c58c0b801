#!/usr/bin/env bash
# What only a GPU can tell, in one call whose parts end after seven minutes in all, measured or not:
#   benchmarks/gpu.sh [FOLDER]        rows, tables and pictures go there (results/benchmarks)
#   benchmarks/gpu.sh FOLDER cpu      tries the script with a small shape where there is no GPU
# Rows are written as they are measured, so that what ends a part early leaves those before.
set -uo pipefail
folder=${1:-results/benchmarks}
device=${2:-cuda}
mkdir -p "$folder"

# part SECONDS SHAPE FILE [option...]
part() {
  local seconds=$1 shape=$2 file=$3
  shift 3
  [ "$device" = cpu ] && shape=small
  timeout "$seconds" python -m benchmarks.attention --shape "$shape" --device "$device" --json "$folder/$file-$device.json" "$@" ||
    echo "$file: ended early (status $?); the rows before it are kept" >&2
}

part 200 sd15 attention-sd15
part 100 sdxl attention-sdxl --only step
# the same stage with operations that repeat to the last bit alone; the default of a GPU is B
KEYPOINT_KIT_DETERMINISM=A part 60 sd15 attention-sd15-strict --only "third stage"
part 60 figures attention-figures
python -m benchmarks.report "$folder"
