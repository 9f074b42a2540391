#!/usr/bin/env bash
# `make demo`: start a fleet, run a workflow on a real picture, keep the result in ./out, stop the fleet again.
set -euo pipefail
cd "$(dirname "$0")/../.."
comfyfleet=.venv/bin/comfyfleet
home=$(mktemp -d "${TMPDIR:-/tmp}/comfyfleet-demo.XXXXXX")
trap '"$comfyfleet" down --home "$home" >/dev/null 2>&1 || true; rm -rf "$home"' EXIT

picture="$home/picture.png"
.venv/bin/python -m deploy.local.picture "$picture"

if [ -n "${COMFYUI_URL:-}" ]; then
    "$comfyfleet" up --home "$home" --port 0 --detach
    "$comfyfleet" runner add --home "$home" --name comfyui --endpoint "$COMFYUI_URL"
    workflow=docs/examples/invert.json
else
    "$comfyfleet" up --home "$home" --port 0 --simulated-runners 2 --detach
    workflow=docs/examples/sampler.json
fi

"$comfyfleet" run "$workflow" --home "$home" --input "1.image=@$picture" --out ./out

cat <<'WORDS'

The picture is in ./out. Where to look next:
  .venv/bin/comfyfleet up          your own fleet, which stays up
  .venv/bin/comfyfleet --help      everything the command can do
  docs/architecture.md             the way of a job through the code
WORDS
