#!/bin/sh
# Publishes records over HTTP and sends again what may be sent again.
#
# Usage: publish.sh API TOPIC [SECONDS] < envelope.json
#
# Standard input is the request's body, {"records":[...]}. Prints the answer; ends with 0 when every record is written, 1
# when one can never be, 3 when time (60 s by default) ran out before all were. Needs curl.
set -eu
[ $# -ge 2 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
api=$1 topic=$2 seconds=${3:-60}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cat >"$folder/body"
# One key for all attempts: consumers drop what they have seen. So the request must stay the same, too.
key=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
give_up=$(($(date +%s) + seconds)) pause=1
while :; do
    # 35 s are longer than the service takes to answer at most. Status 000: no whole answer came, so records may be written.
    status=$(curl -s --max-time 35 -o "$folder/answer" -D "$folder/headers" -w '%{http_code}' -X POST "$api/topics/$topic" \
        -H 'Content-Type: application/json' -H "Idempotency-Key: $key" --data-binary "@$folder/body") || status=000
    # With COMPATIBILITY=confluent a 200 may have failed records, too.
    if [ "$status" = 200 ] && ! grep -q '"error_code": *[1-9]' "$folder/answer"; then
        cat "$folder/answer"
        exit 0
    fi
    # Of a 207 and of a problem alike: `retriable` is true where sending again can help.
    if [ "$status" != 000 ] && ! grep -q '"retriable": *true' "$folder/answer" && grep -q '"retriable"' "$folder/answer"; then
        cat "$folder/answer"
        exit 1
    fi
    # What is not the service's own answer is a gateway's or a load balancer's: 429 and 5xx pass.
    if [ "$status" != 000 ] && ! grep -q '"retriable"' "$folder/answer"; then
        case $status in 429 | 5*) ;; *) cat "$folder/answer"; exit 1 ;; esac
    fi
    after=$(sed -n 's/^[Rr]etry-[Aa]fter: *\([0-9]*\).*/\1/p' "$folder/headers" 2>/dev/null | tail -n 1)
    [ "${after:-0}" -le "$pause" ] || pause=$after
    [ $(($(date +%s) + pause)) -le "$give_up" ] || { [ "$status" = 000 ] || cat "$folder/answer"; exit 3; }
    sleep "$pause"
    pause=$((pause < 8 ? pause * 2 : 8))
done
