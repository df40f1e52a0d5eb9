#!/bin/sh
# compile.sh COMMAND... -o OBJECT ...: runs nvcc and keeps what it says in OBJECT.log, where a test looks for warnings and reads what each
# kernel takes of the machine. That second part would drown the first, and is not shown.
previous=
for argument; do
  [ "$previous" = -o ] && object=$argument
  previous=$argument
done
"$@" >"$object.log" 2>&1
status=$?
grep -v -e '^ptxas info ' -e '^    [0-9]* bytes stack frame' "$object.log" >&2
exit $status
