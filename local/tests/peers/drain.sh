#!/usr/bin/env bash
# A topic drained into a function, as a job of a CI does it, and every way that can end. Needs `msk-local` on the PATH,
# FUNCTION_URL (an Invoke endpoint) and PYTHON (one that has confluent-kafka).
set -euo pipefail
cd "$(mktemp -d)"
mkfifo ready
msk-local --format json brokers --topics good:1,bad:1,orders.dlq:1 > ready &
brokers=$!
trap 'kill "$brokers"; wait "$brokers" || true; rm -rf "$PWD"' EXIT
exec 3< ready
read -r line <&3
servers=$("$PYTHON" -c 'import json, sys; print(json.loads(sys.argv[1])["bootstrap_servers"])' "$line")

"$PYTHON" - "$servers" <<'PRODUCER'
import sys
from confluent_kafka import Producer

producer = Producer({"bootstrap.servers": sys.argv[1]})
for number in range(100):
    producer.produce("good", '{"do": "ok"}', key=str(number))
producer.produce("bad", '{"do": "fail"}')
assert producer.flush(30) == 0
PRODUCER

cat > mapping.json <<MAPPING
{
  "StartingPosition": "TRIM_HORIZON",
  "FunctionResponseTypes": ["ReportBatchItemFailures"],
  "ProvisionedPollerConfig": {"MinimumPollers": 1},
  "Local": {"bootstrapServers": "$servers", "invokeUrl": "$FUNCTION_URL", "retryBackoffSeconds": 0.1}
}
MAPPING

# drain CODE END ARGUMENTS: fails unless the command ends with this code and says so.
drain() {
  local code=0 said
  said=$(msk-local esm drain mapping.json "${@:3}") || code=$?
  if [ "$code" -ne "$1" ]; then
    printf '%s\nexit code %s instead of %s (%s)\n' "$said" "$code" "$1" "$2"
    exit 1
  fi
  echo "exit code $code: $2"
}

drain 0 drained --topics good --deadline 60
drain 4 'given up' --topics bad --deadline 60 --maximum-retry-attempts 1 --on-failure-destination kafka://orders.dlq
# Another group begins anew; without a bound on retries the record comes again until the deadline.
drain 3 deadline --topics bad --deadline 8 --consumer-group-id anew
drain 5 unreachable --topics bad --deadline 8 --consumer-group-id nowhere --invoke-url http://127.0.0.1:9/
