#!/bin/sh
# The main job from nothing to a report: demonstrations, training, evaluation over 100 episodes, one HTML page.
#   scripts/demo.sh TASK [SEED] [RUNS]     `make demo` calls this for both tasks with `robot-rl` on the PATH
set -eu
cd "$(dirname "$0")/.."
task=$1 seed=${2:-0} runs=${3:-runs}
started=$(date +%s)

case $task in
PickCube) set -- --env-steps 8000 ;;
PegInsert) set -- --env-steps 14000 --task-options clearance_mm=0.5 ;;
*)
    echo "scripts/demo.sh knows PickCube and PegInsert, not '$task'; others: robot-rl train $task" >&2
    exit 2
    ;;
esac

echo "== $task: learning on $(nproc) CPU cores: 20 demonstrations, training, 100 evaluation episodes, report"
robot-rl train "$task" --corrections scripted --seed "$seed" --out-dir "$runs" "$@"
took=$(($(date +%s) - started))
echo "took $((took / 60)) min $((took % 60)) s; open the report of the run: $(ls -td "$runs/$task"/*/report.html | head -n 1)"
