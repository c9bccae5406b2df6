#!/bin/sh
# Measures on one GPU, in at most eleven minutes, what docs/ say was not measured on one, and prints a Markdown table.
# Installs nothing: it needs this repository and a Python ($PYTHON, else python3) with torch and the package's ordinary dependencies.
#
# usage: benchmarks/gpu.sh                 on a GPU
#        benchmarks/gpu.sh --few FILE...   on a GPU, in at most ten minutes: the recipe `few` with these weights beside `small`,
#                                          at 30, 60 and 120 photographs of the NYUv2 in the folder $NYUV2
#        benchmarks/gpu.sh --tiny          every part at a tiny size on a CPU, as a trial of this script
set -eu
here=$PWD
cd "$(dirname "$0")"
python=${PYTHON:-python3}
export PYTHONPATH="$PWD/../src:$PWD${PYTHONPATH:+:$PYTHONPATH}"
BENCH_TABLE=$(mktemp)
export BENCH_TABLE
trap 'rm -f "$BENCH_TABLE"' EXIT

few=no
usage() {
    sed -n '2,8s/^# \{0,1\}//p' gpu.sh >&2
    exit 2
}
case ${1-} in
    '') device=cuda ;;
    --few)
        shift
        device=cuda
        few=yes
        [ $# -gt 0 ] && [ "${NYUV2-}" ] || usage
        for file; do
            shift
            case $file in
                /*) set -- "$@" "$file" ;;
                *) set -- "$@" "$here/$file" ;;
            esac
        done
        ;;
    --tiny) device=cpu ;;
    *) usage ;;
esac
if [ $device = cuda ] && ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "torch finds no GPU here, and nothing was measured; \`benchmarks/gpu.sh --tiny\` tries the script on a CPU." >&2
    exit 1
fi

failed=0
# part SECONDS FILE ARGUMENTS: status 1 says that a bar does not hold, which is a figure and no failure.
part() {
    limit=$1
    shift
    echo "== $*" >&2
    status=0
    # A traceback also ends with 1: it leaves no row.
    before=$(wc -l <"$BENCH_TABLE")
    timeout "$limit" "$python" "$@" --device $device >&2 || status=$?
    [ "$(wc -l <"$BENCH_TABLE")" -gt "$before" ] || status=3
    if [ $status -gt 1 ]; then
        echo "| part of the script | – | failed or took over $limit s (status $status) | \`$*\` |" >>"$BENCH_TABLE"
        failed=1
    fi
}

# Without `few` the limits add up to 620 seconds.
if [ $few = yes ]; then
    part 590 few.py "$@" --data "$(cd "$here" && cd "$NYUV2" && pwd)"
elif [ $device = cuda ]; then
    part 50 epoch.py --images 48 --repeats 3
    part 70 epoch.py --images 48 --repeats 3 --recipe gpu
    part 120 recipe_step.py --recipes gpu gpu-convnext --seconds 15
    part 130 recipe_step.py --recipes partal-nyud mtpsl-released mtan-nyuv2 --seconds 12
    part 160 recipe_step.py --recipes gpu --compile --seconds 10
    part 50 mtpsl.py --repeats 5
    part 40 mtpsl.py --size 288 384 --batch 2 --tasks 3 --repeats 5
else
    tiny='--tiny --input 32 64 --repeats 1'
    part 300 epoch.py $tiny --images 8 --size 24 32
    part 300 epoch.py $tiny --images 8 --size 24 32 --recipe gpu
    part 300 recipe_step.py $tiny --recipes gpu gpu-convnext --batch 2
    part 300 recipe_step.py $tiny --recipes partal-nyud mtpsl-released mtan-nyuv2 --batch 2
    part 300 mtpsl.py --size 32 32 --batch 2 --width 8 --tasks 2 --repeats 1
    part 300 few.py --tiny --photographs 2 4
    part 300 mtpsl.py --size 32 64 --batch 2 --width 8 --tasks 3 --repeats 1 --mapping light
fi

if [ $device = cuda ]; then
    "$python" -c 'import torch; print("Measured on", torch.cuda.get_device_name(), "with torch", torch.__version__)'
else
    echo 'A trial on a CPU at tiny sizes: these figures say nothing.'
fi
echo
echo '| claim | bar | measured | `python benchmarks/…` |'
echo '| --- | --- | --- | --- |'
cat "$BENCH_TABLE"
exit $failed
