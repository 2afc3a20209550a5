/* What people read: aligned tables, problems, progress. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_fail(const struct weir_error *err)
{
	char text[1200];
	fprintf(stderr, "weir: %s\n", weir_error_text(err, text, sizeof text));
	return CLI_FAILED;
}

int cli_wrong_use(const struct cli_args *args, const char *format, ...)
{
	va_list list;
	va_start(list, format);
	fputs("weir: ", stderr);
	vfprintf(stderr, format, list);
	va_end(list);
	fprintf(stderr, "; see `weir %s --help`\n", args->command->name);
	return CLI_WRONG_USE;
}

/* ---- tables ---- */

struct cli_table {
	struct weir_arena *arena;
	struct weir_str *cells;
	size_t cell_count, cell_capacity;
	size_t *ends; /* cells before the end of row i */
	size_t row_count, row_capacity;
};

struct cli_table *cli_table_new(void)
{
	struct cli_table *table = weir_zalloc(sizeof *table);
	table->arena = weir_arena_new(0);
	return table;
}

void cli_table_free(struct cli_table *table)
{
	if (table == NULL)
		return;
	weir_arena_free(table->arena);
	free(table->cells);
	free(table->ends);
	free(table);
}

/* Control characters would move the terminal's cursor, or worse. */
void cli_table_cell(struct cli_table *table, struct weir_str text)
{
	char *copy = weir_arena_cstr(table->arena, text);
	for (size_t i = 0; i < text.size; i++) {
		if ((unsigned char)copy[i] < 0x20 || copy[i] == 0x7f)
			copy[i] = ' ';
	}
	WEIR_GROW(table->cells, table->cell_count, table->cell_capacity);
	table->cells[table->cell_count++] = (struct weir_str){copy, text.size};
}

void cli_table_end_row(struct cli_table *table)
{
	WEIR_GROW(table->ends, table->row_count, table->row_capacity);
	table->ends[table->row_count++] = table->cell_count;
}

/* Characters, as UTF-8 counts them. */
static size_t width_of(struct weir_str text)
{
	size_t width = 0;
	for (size_t i = 0; i < text.size; i++)
		width += ((unsigned char)text.data[i] & 0xc0) != 0x80;
	return width;
}

static bool is_number(struct weir_str text)
{
	for (size_t i = 0; i < text.size; i++) {
		if (strchr("0123456789.,-+eE% ", text.data[i]) == NULL)
			return false;
	}
	return text.size > 0 && ((text.data[0] >= '0' && text.data[0] <= '9') || text.data[0] == '-');
}

static size_t row_start(const struct cli_table *table, size_t row)
{
	return row > 0 ? table->ends[row - 1] : 0;
}

static void print_spaces(size_t count, FILE *out)
{
	while (count-- > 0)
		fputc(' ', out);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
	size_t columns = table->row_count > 0 ? table->ends[0] : 0;
	size_t *widths = weir_zalloc((columns + 1) * sizeof *widths);
	bool *right = weir_zalloc((columns + 1) * sizeof *right);
	bool *text = weir_zalloc((columns + 1) * sizeof *text);
	for (size_t row = 0; row < table->row_count; row++) {
		size_t start = row_start(table, row);
		for (size_t column = 0; column < columns && start + column < table->ends[row]; column++) {
			struct weir_str cell = table->cells[start + column];
			size_t width = width_of(cell);
			widths[column] = width > widths[column] ? width : widths[column];
			if (row > 0 && cell.size > 0) {
				text[column] = text[column] || !is_number(cell);
				right[column] = !text[column];
			}
		}
	}
	for (size_t row = 0; row < table->row_count; row++) {
		size_t start = row_start(table, row);
		for (size_t column = 0; column < columns && start + column < table->ends[row]; column++) {
			struct weir_str cell = table->cells[start + column];
			size_t space = widths[column] - width_of(cell);
			bool last = column + 1 == columns;
			if (right[column])
				print_spaces(space, out);
			fwrite(cell.data, 1, cell.size, out);
			if (!right[column] && !last)
				print_spaces(space, out);
			fputs(last ? "" : "  ", out);
		}
		fputc('\n', out);
	}
	free(widths);
	free(right);
	free(text);
}

void cli_table_csv(struct cli_table *table, struct weir_str csv)
{
	struct weir_buf cell = WEIR_BUF_INIT;
	bool quoted = false, row_open = false;
	for (size_t i = 0; i < csv.size; i++) {
		char c = csv.data[i];
		row_open = true;
		if (quoted) {
			if (c == '"' && i + 1 < csv.size && csv.data[i + 1] == '"')
				weir_buf_putc(&cell, csv.data[++i]);
			else if (c == '"')
				quoted = false;
			else
				weir_buf_putc(&cell, c);
		} else if (c == '"') {
			quoted = true;
		} else if (c == ',' || c == '\n') {
			cli_table_cell(table, weir_buf_str(&cell));
			cell.size = 0;
			if (c == '\n') {
				cli_table_end_row(table);
				row_open = false;
			}
		} else if (c != '\r') {
			weir_buf_putc(&cell, c);
		}
	}
	if (row_open) {
		cli_table_cell(table, weir_buf_str(&cell));
		cli_table_end_row(table);
	}
	weir_buf_done(&cell);
}

/* ---- numbers and progress ---- */

void cli_bytes_text(uint64_t bytes, char buffer[24])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	double value = (double)bytes;
	unsigned unit = 0;
	for (; value >= 1024 && unit < 4; unit++)
		value /= 1024;
	if (unit == 0)
		snprintf(buffer, 24, "%llu B", (unsigned long long)bytes);
	else
		snprintf(buffer, 24, "%.1f %s", value, units[unit]);
}

void cli_count_text(uint64_t count, char buffer[32])
{
	char digits[24];
	int size = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count), at = 0;
	for (int i = 0; i < size; i++) {
		if (i > 0 && (size - i) % 3 == 0)
			buffer[at++] = ',';
		buffer[at++] = digits[i];
	}
	buffer[at] = '\0';
}

#define BAR_LEAST 10
#define BAR_MOST  30

void cli_progress_text(
	const char *name, uint64_t done, uint64_t total, uint64_t events, unsigned width, struct weir_buf *out)
{
	char done_text[24], total_text[24], events_text[32];
	const char *slash = strrchr(name, '/');
	cli_bytes_text(done, done_text);
	cli_bytes_text(total, total_text);
	cli_count_text(events, events_text);
	weir_buf_printf(out, "%.40s", slash != NULL ? slash + 1 : name);
	if (total > 0) {
		done = done < total ? done : total;
		unsigned bar = width >= 110 ? BAR_MOST : width >= 80 ? BAR_LEAST : 0;
		unsigned filled = (unsigned)((double)done / (double)total * bar);
		weir_buf_puts(out, bar > 0 ? "  [" : "");
		for (unsigned i = 0; i < bar; i++)
			weir_buf_putc(out, i < filled ? '#' : '.');
		weir_buf_printf(out, "%s  %3u %%  %s of %s", bar > 0 ? "]" : "",
			(unsigned)((double)done * 100 / (double)total), done_text, total_text);
	} else {
		weir_buf_printf(out, "  %s", done_text);
	}
	if (events > 0)
		weir_buf_printf(out, "  %s events", events_text);
}
