#!/usr/bin/env bash
# Trains the detector of models/shitu-small on for small and many things: README.md, "Small and many things". Its result is
# not in the bundle. Started again, it continues where it stopped.
#
#   make trainer && training/shitu_small/small_things.sh [SHARED]
#
# It starts from the Paddle model beside it, and takes scenes and groceries from recipe.sh, whose steps it repeats if need be.
set -euo pipefail
cd "$(dirname "$0")/../.."
shared=${1:-../shared}
work=build/shitu-small
train="build/export/bin/python -m training"
data=$shared/data

step() { # step RESULT COMMAND...: skips a step whose result exists
    if [ ! -e "$1" ]; then echo "== ${*:2}" && "${@:2}"; fi
}

at_once=(--processes "$(nproc)")
step $work/scenes/labels $train draw-scenes --out $work/scenes --count 2000 --surfaces "$data/textures" "${at_once[@]}"
step $work/pasted/labels $train paste-scenes --out $work/pasted --count 800 --shared "$shared"
step $work/labeled/labels $train label-photos --out $work/labeled --shared "$shared"
# A few of them are walls of print, a fifth are counters before shelves out of focus.
step $work/shelves/labels $train paste-shelves --out $work/shelves --count 3200 --shared "$shared"

no_products() { # no_products OUT: surfaces, and twenty photos of each of some kinds
    mkdir -p "$1" && ln -sf "$(realpath "$data/textures")"/*.jpg "$1"
    for kind in airplanes car_side ferry ketch schooner helicopter Motorbikes pagoda minaret pyramid stop_sign chandelier ceiling_fan \
        lamp chair windsor_chair grand_piano wheelchair joshua_tree water_lilly; do
        find "$(realpath "$data/caltech101/$kind")" -name '*.jpg' | sort | awk 'NR % 3 == 1 && n++ < 20' |
            while read -r photo; do ln -sf "$photo" "$1/$kind-$(basename "$photo")"; done
    done
}
step $work/empty/images no_products $work/empty/images

# The shipped detector, and from there run after run.
step $work/back build/export/bin/python -m training.paddle take-back detector training/shitu_small/paddle/detector --out $work/back
step $work/detector-k/detector.pt $train import-weights detector $work/back --out $work/detector-k
further() { # further RUN BEFORE SHARES OPTIONS...: continues from an earlier run; shares of the folders below, in their order
    local photos=() shares folders=("$data/beverage" $work/scenes $work/pasted $work/labeled $work/shelves $work/empty)
    read -ra shares <<<"$3"
    for number in "${!folders[@]}"; do photos+=(--photos "${folders[number]}=${shares[number]}"); done
    OMP_NUM_THREADS=1 build/export/bin/python -m torch.distributed.run --standalone --nproc-per-node="$(nproc)" -m training detector \
        --threads 1 --scale 0.75 --side 352 "${photos[@]}" --out "$work/detector-$1" --initial "$work/detector-$2/detector.pt" "${@:4}"
}
further l k "0.42 0.16 0.07 0.08 0.22 0.05" --steps 2200 --learning-rate 0.001 --seed 8
further m l "0.37 0.13 0.06 0.09 0.32 0.03" --steps 1900 --learning-rate 0.001 --seed 9
further n m "0.46 0.15 0.06 0.08 0.225 0.025" --steps 750 --learning-rate 0.0006 --seed 10
step $work/detector-lmn/detector.pt $train average detector $work/detector-{l,m,n}/detector.pt --out $work/detector-lmn
further o lmn "0.41 0.13 0.05 0.07 0.315 0.025" --steps 420 --learning-rate 0.0007 --seed 11
further p o "0.43 0.17 0.07 0.06 0.25 0.02" --steps 450 --learning-rate 0.0005 --seed 12
step $work/detector-mop/detector.pt $train average detector $work/detector-{m,o,p}/detector.pt --out $work/detector-mop

# Paddle inference model, for `shitu-edge-export bundle` as in recipe.sh.
step $work/parcels/small-things $train export-weights detector $work/detector-mop/detector.pt --out $work/parcels/small-things \
    --side 288 --width 448
step $work/paddle/small-things build/export/bin/python -m training.paddle detector $work/parcels/small-things \
    --out $work/paddle/small-things
