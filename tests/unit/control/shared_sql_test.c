/* No statement of the program outside src/control/sqlite_*.c uses words that SQLite alone understands:
 * docs/formats/control.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

/* Lines of SQL in string literals, without the SQL that DuckDB runs (src/sql and what is handed to it). */
static const char command[] = "grep -rnE '\"[^\"]*(INSERT OR (IGNORE|REPLACE|ABORT|FAIL)|REPLACE INTO|rowid|PRAGMA "
			      "|AUTOINCREMENT|WITHOUT ROWID|[^_]typeof\\(| GLOB |IFNULL\\(|strftime\\()'"
			      " --include='*.c' --include='*.h' src/access src/consent src/engine src/iceberg "
			      "src/ingest src/jobs src/stream src/control"
			      " | grep -v '^src/control/sqlite_'";

static void statements_are_shared(void **state)
{
	char line[512];
	unsigned found = 0;
	(void)state;
	FILE *pipe = popen(command, "r");
	assert_non_null(pipe);
	for (; fgets(line, sizeof line, pipe) != NULL; found++)
		print_error("%s", line);
	pclose(pipe);
	assert_int_equal(found, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(statements_are_shared)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
