#!/usr/bin/env bash
# Everything that needs a real GPU, in one go, what matters most first: npm run gpu:visit [-- STEP ...]
# A step that fails does not keep the others from running. Each writes <step>.log to the folder GPU_VISIT_OUT (out/gpu_visit where that is
# not set); summary.log grows by a line after each.
# No step takes longer than GPU_VISIT_SECONDS (600), and all of them together no longer than GPU_VISIT_TOTAL seconds, where that is set: what
# comes too late is skipped, and bench and tune measure less.
# For machines that give back but a few files, and may end at any time: where GPU_VISIT_BACK is set, that folder has after each step
# visit.tar.gz, which is all of GPU_VISIT_OUT, and of that bench.json, tune.json and summary.log also as they are.
# Where the files are not in a repository, BENCH_COMMIT tells bench, tune and accuracy the commit that they are of.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${GPU_VISIT_OUT:-out/gpu_visit}
export CUDAARCHS=${CUDAARCHS:-90}
export skipped=77 # the status of a step that says, last, why it was not taken
back=${GPU_VISIT_BACK:-}
total=${GPU_VISIT_TOTAL:-1000000} # where it is not set, more than any visit takes
for seconds in "$total" "${GPU_VISIT_SECONDS:-600}"; do
  [[ $seconds =~ ^[1-9][0-9]*$ ]] || {
    echo "Expected whole seconds for GPU_VISIT_TOTAL and GPU_VISIT_SECONDS but received $seconds" >&2
    exit 2
  }
done
mkdir -p "$folder" ${back:+"$back"}

build() { npm run build; }

# Fails where the addon has no GPU, with the reason.
machine() {
  nvidia-smi || echo 'nvidia-smi is not here, or fails'
  nvcc --version || echo 'nvcc is not here, or fails'
  node --import tsx -e "
    const { Device } = require('./lib');
    console.log(process.version, Device.report());
    console.log(Device.get('cuda:0').description);"
  npm run --silent doctor
}

tests() { npm run test:gpu; }

# The arithmetic with each kind of team forced upon the kernels.
plans() {
  CUDA_BATCHNORM_VARIANT=release CUDA_BATCHNORM_TEST_DEVICE=cuda:0 \
    node scripts/test_plans.js team=block team=cluster team=grid team=grid,kept=0 kept=50
}

# checked TOOL TEST...: tests under a tool of compute-sanitizer, whose first finding is an error.
checked() {
  command -v compute-sanitizer >/dev/null || {
    echo 'there is no compute-sanitizer here'
    return $skipped
  }
  CUDA_BATCHNORM_TEST_DEVICE=cuda:0 compute-sanitizer --tool "$1" --target-processes all --error-exitcode 1 \
    node --import tsx --expose-gc node_modules/mocha/bin/mocha.js --no-config --timeout 300000 "${@:2}"
}
memcheck() { checked memcheck test/batch_norm.test.ts test/functional.test.ts test/tensor.test.ts test/cuda/*.test.ts; }
racecheck() { checked racecheck test/batch_norm.test.ts test/functional.test.ts; }

# The whole grid on the GPU, cuDNN beside where it is found: the page, and the numbers.
validate() { npm run --silent validate -- --device cuda:0 --json --report "$folder/validate.html" >"$folder/validate.json"; }

# Ours, cuDNN's and PyTorch's errors, where python3 has torch.
accuracy() {
  python3 -c 'import torch' 2>/dev/null && export BENCH_PYTHON=python3
  npm run bench:accuracy -- --out "$folder/accuracy.json"
}

# What the constants of the plan are found by: npm run tune:gpu -- --from tune.json --write finds them, and puts them into
# native/cuda/tuning.h.
tune() { npm run tune:gpu -- --measure-only --budget "$(budget 300)" --out "$folder/tune.json"; }

# Ours beside cuDNN and PyTorch, as far as they are here; JSON and plots are for bench/results/gpu.
bench() { npm run bench:gpu -- --budget "$(budget 480)" --out "$folder/bench.json"; }

# budget MOST: the seconds to measure in, which leave time to begin and to end, and half of the visit's to the steps that follow.
budget() { least "$1" $((limit * 4 / 5)) $((remaining / 2)); }

least() { printf '%s\n' "$@" | sort -n | head -n 1; }

# Runs a step for no longer than `limit`, and tells what became of it.
take() {
  local start=$SECONDS result
  timeout -k 10 "$limit" bash -euo pipefail -c "$1" </dev/null 2>&1 | tee "$folder/$1.log"
  local status=${PIPESTATUS[0]}
  case $status in
    0) result=ok ;;
    "$skipped") result="skipped: $(tail -n 1 "$folder/$1.log")" ;;
    124 | 137) result="FAILED: not done after $limit s" failed=1 ;;
    *) result="FAILED with status $status" failed=1 ;;
  esac
  summary+=("$1: $result, $((SECONDS - start)) s")
}

# The archive is never there in part.
bring_back() {
  tar czf "$back/visit.tar.gz.tmp" -C "$folder" . && mv "$back/visit.tar.gz.tmp" "$back/visit.tar.gz"
  for file in bench.json tune.json summary.log; do
    [ ! -f "$folder/$file" ] || cp "$folder/$file" "$back"
  done
}

steps=(build machine tests bench tune validate accuracy plans memcheck racecheck)
[ $# -gt 0 ] && steps=("$@")
export -f "${steps[@]}" checked budget least
export folder limit remaining
summary=()
failed=0
for step in "${steps[@]}"; do
  printf '\n=== %s ===\n' "$step"
  remaining=$((total - SECONDS))
  limit=$(least "${GPU_VISIT_SECONDS:-600}" $((remaining - 15))) # the rest is for the end of the step and of the visit
  if [ "$limit" -lt 5 ]; then
    summary+=("$step: skipped: no time left")
  else
    take "$step"
  fi
  printf '%s\n' "${summary[@]}" >"$folder/summary.log"
  [ -z "$back" ] || bring_back
done
printf '\n'
cat "$folder/summary.log"
exit $failed
