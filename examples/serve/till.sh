#!/usr/bin/env bash
# A till that asks a server: names what an image shows, then watches frames and prints what happens.
#
# examples/serve/till.sh http://127.0.0.1:8484 FRAME...
#
# curl alone; `jq` would read the JSON better than these patterns.
set -euo pipefail

address=$1
shift
send() {
    curl --silent --show-error --fail-with-body --header 'Content-Type: image/jpeg' --header 'Deadline-Ms: 1000' \
        --data-binary "@$2" "$address$1"
}

send /v1/recognize "$1" | grep -o '"decision": "[a-z]*", "label": \(null\|"[^"]*"\)' |
    sed -E 's/"decision": "([a-z]+)", "label": (null|"([^"]*)")/recognize: \3/'

# Open before the first frame, so that no event is missed.
events=$(mktemp)
curl --silent --no-buffer "$address/v1/streams/till/events" >"$events" &
reader=$!
until grep -q '^event: state' "$events"; do sleep 0.05; done

number=0
for frame in "$@"; do
    answer=$(send "/v1/streams/till/frames?at_s=$((number / 10)).$((number % 10))" "$frame")
    number=$((number + 1))
done
curl --silent --output /dev/null --request DELETE "$address/v1/streams/till" # ends the events, too
wait "$reader"
grep -A1 '^event: named' "$events" | sed -nE 's/^data: .*"decision": "[a-z]+", "label": "([^"]*)".*/event: named \1/p'
sed -E 's/.*"basket": (\{[^}]*\}), "settled".*/basket: \1/' <<<"$answer"
rm "$events"
