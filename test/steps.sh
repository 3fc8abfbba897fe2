#!/usr/bin/env bash
# Runs commands one after the other, whether or not one before failed, and says how long each took. The last lines say
# what failed, with mocha's account of each failure, and sum up what counts its tests: the closing lines of the
# commands, which are indented so that they are not taken for the last one. A command that fails and counts no failure
# counts as one.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

outputs=$(mktemp -d)
trap 'rm -rf "$outputs"' EXIT
[[ ! -t 1 || -n ${NO_COLOR-} ]] || export FORCE_COLOR=1
# A closing line that was counted already must not be counted again by the steps around these.
indented='s/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/  &/'
failed=()
times=''
step=0
for tests in "$@"; do
  begunAt=$SECONDS
  output=$outputs/$((++step))
  if ! bash -c "$tests" </dev/null 2>&1 | tee "$output" |
    sed -uE "$indented"; then
    failed+=("$tests" "$output")
    grep -qE '^[0-9]+ passed, [1-9][0-9]* failed, ' "$output" || echo '0 passed, 1 failed, 0 skipped' >>"$output"
  fi
  times+="$((SECONDS - begunAt)) s: $tests"$'\n'
  echo "$((SECONDS - begunAt)) s: $tests"
done
hasFailed=$((${#failed[@]} > 0))
set -- "${failed[@]}"
while (($# > 0)); do
  echo "failed: $1"
  # Without mocha's account, the end of what it printed says why.
  { awk '/^  [0-9]+ failing$/ { found = 1 } found && lines++ < 120' "$2" | grep . || tail -n 40 "$2"; } |
    sed -E "$indented"
  shift 2
done
echo -n "$times"
awk '/^[0-9]+ passed, [0-9]+ failed, [0-9]+ skipped$/ { passed += $1; failed += $3; skipped += $5 }
  END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$outputs"/*
exit "$hasFailed"
