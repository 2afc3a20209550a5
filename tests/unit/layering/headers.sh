#!/bin/sh
# Each header of src/ compiles alone: headers.sh COMPILER DUCKDB_INCLUDE_DIR [SOURCE_DIR]. Names those that do not.
set -u
compiler=$1 duckdb=$2 source=${3:-src}
libpq=$(pkg-config --cflags-only-I libpq)
failed=0 count=0
for header in $(cd "$source" && find . -name '*.h' | sed 's|^\./||' | sort); do
	count=$((count + 1))
	# Twice: an include guard is part of it.
	if ! printf '#include "%s"\n#include "%s"\nint weir_header_test;\n' "$header" "$header" |
		"$compiler" -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only -I "$source" -isystem "$duckdb" $libpq -x c -; then
		echo "$source/$header does not compile alone"
		failed=$((failed + 1))
	fi
done
echo "$count headers, $failed failed"
[ "$failed" -eq 0 ] && [ "$count" -gt 0 ]
