#!/usr/bin/env bash
# Everything that needs a real GPU, in one go, the smallest first: npm run gpu:visit [-- STEP ...]
# A step that fails does not keep the others from running. Each writes <step>.log to the folder GPU_VISIT_OUT (out/gpu_visit where that is
# not set); summary.log comes last. No step takes longer than GPU_VISIT_SECONDS (600).
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

folder=${GPU_VISIT_OUT:-out/gpu_visit}
export CUDAARCHS=${CUDAARCHS:-90}
export skipped=77 # the status of a step that says, last, why it was not taken
mkdir -p "$folder"

build() { npm run build; }

# Fails where the addon has no GPU, with the reason.
machine() {
  nvidia-smi
  nvcc --version
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

# The constants of the plan, for native/cuda/tuning.h: npm run tune:gpu -- --from tune.json --write puts them there.
tune() { npm run tune:gpu -- --budget 300 --out "$folder/tune.json"; }

# Ours beside cuDNN and PyTorch, as far as they are here; JSON and plots are for bench/results/gpu.
bench() { npm run bench:gpu -- --out "$folder/bench.json"; }

steps=(build machine tests plans validate bench tune accuracy memcheck racecheck)
[ $# -gt 0 ] && steps=("$@")
export -f "${steps[@]}" checked
export folder
summary=()
failed=0
for step in "${steps[@]}"; do
  printf '\n=== %s ===\n' "$step"
  start=$SECONDS
  timeout "${GPU_VISIT_SECONDS:-600}" bash -euo pipefail -c "$step" </dev/null 2>&1 | tee "$folder/$step.log"
  status=${PIPESTATUS[0]}
  case $status in
    0) result=ok ;;
    "$skipped") result="skipped: $(tail -n 1 "$folder/$step.log")" ;;
    *) result="FAILED with status $status" failed=1 ;;
  esac
  summary+=("$step: $result, $((SECONDS - start)) s")
done
printf '\n'
printf '%s\n' "${summary[@]}" | tee "$folder/summary.log"
exit $failed
