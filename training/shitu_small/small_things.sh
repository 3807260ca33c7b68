#!/usr/bin/env bash
# Trains the detector of models/shitu-small on for small and many things, and the network that tells what is no product:
# README.md, "Small and many things". Started again, it continues where it stopped.
#
#   make trainer && training/shitu_small/small_things.sh [SHARED]
#
# Run it after recipe.sh, once: it starts from the detector, extractor and cohort that are there, and repeats the drawing of
# scenes if need be.
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

step $work/close-ups/labels $train paste-close-ups --out $work/close-ups --count 1000 --shared "$shared"

no_products() { # no_products OUT: surfaces, and twenty photos of each of some kinds
    mkdir -p "$1" && ln -sf "$(realpath "$data/textures")"/*.jpg "$1"
    for kind in airplanes car_side ferry ketch schooner helicopter Motorbikes pagoda minaret pyramid stop_sign chandelier ceiling_fan \
        lamp chair windsor_chair grand_piano wheelchair joshua_tree water_lilly; do
        find "$(realpath "$data/caltech101/$kind")" -name '*.jpg' | sort | awk 'NR % 3 == 1 && n++ < 20' |
            while read -r photo; do ln -sf "$photo" "$1/$kind-$(basename "$photo")"; done
    done
}
step $work/empty/images no_products $work/empty/images

# The detector before, and from there run after run.
step $work/back build/export/bin/python -m training.paddle take-back detector training/shitu_small/paddle/detector --out $work/back
step $work/detector-k/detector.pt $train import-weights detector $work/back --out $work/detector-k
folders=("$data/beverage" $work/scenes $work/pasted $work/labeled $work/shelves $work/empty $work/close-ups)
further() { # further RUN BEFORE SHARES OPTIONS...: continues from an earlier run; shares of the folders above, in their order
    local photos=() shares
    read -ra shares <<<"$3"
    for number in "${!shares[@]}"; do photos+=(--photos "${folders[number]}=${shares[number]}"); done
    OMP_NUM_THREADS=1 build/export/bin/python -m torch.distributed.run --standalone --nproc-per-node="$(nproc)" -m training detector \
        --threads 1 --scale 0.75 --side 352 "${photos[@]}" --out "$work/detector-$1" --initial "$work/detector-$2/detector.pt" "${@:4}"
}
mean() { # mean RESULT RUN...: averages runs
    local run checkpoints=()
    for run in "${@:2}"; do checkpoints+=("$work/detector-$run/detector.pt"); done
    step "$work/detector-$1/detector.pt" $train average detector "${checkpoints[@]}" --out "$work/detector-$1"
}
further l k "0.42 0.16 0.07 0.08 0.22 0.05" --steps 2200 --learning-rate 0.001 --seed 8
further m l "0.37 0.13 0.06 0.09 0.32 0.03" --steps 1900 --learning-rate 0.001 --seed 9
further n m "0.46 0.15 0.06 0.08 0.225 0.025" --steps 750 --learning-rate 0.0006 --seed 10
mean lmn l m n
further o lmn "0.41 0.13 0.05 0.07 0.315 0.025" --steps 420 --learning-rate 0.0007 --seed 11
further p o "0.43 0.17 0.07 0.06 0.25 0.02" --steps 450 --learning-rate 0.0005 --seed 12
mean mop m o p
further q mop "0.42 0.12 0.05 0.07 0.2 0.04 0.1" --steps 4200 --learning-rate 0.001 --seed 13
mean all k l m m n o p p q q

# As in recipe.sh, but with the cohort that the bundle has; then again with the objectness network, which needs the bundle.
step $work/parcels/small-things $train export-weights detector $work/detector-all/detector.pt --out $work/parcels/small-things \
    --side 288 --width 448
step $work/paddle/small-things build/export/bin/python -m training.paddle detector $work/parcels/small-things \
    --out $work/paddle/small-things
rm -rf training/shitu_small/paddle/detector && cp -r $work/paddle/small-things training/shitu_small/paddle/detector
bundle() {
    build/export/bin/shitu-edge-export bundle --out models/shitu-small --compact --license Apache-2.0 --notes training/shitu_small/card.md \
        --detector training/shitu_small/paddle/detector --extractor training/shitu_small/paddle/extractor --images "$data/beverage/images" \
        --calibrate "$data/beverage" --calibrate "$data/grocery/images/train" --products $work/products.txt --shape 352x352 \
        --detection-threshold 0.5 --max-boxes 20 --suppression-iou 0.2 --cohort models/shitu-small --max-false-accept 0.01 \
        --whole-image fallback "$@"
}
bundle
looked_at=(--photos "$data/beverage=3" --photos $work/labeled=1 --photos $work/shelves=1.5 --photos $work/scenes=1)
looked_at+=(--photos $work/close-ups=1 --photos $work/pasted=1 --photos $work/empty=1)
step $work/objectness.npy $train objectness models/shitu-small "${looked_at[@]}" --faint-threshold 0.38 --most 1000 \
    --out $work/objectness.npy
bundle --objectness $work/objectness.npy --faint-threshold 0.38
