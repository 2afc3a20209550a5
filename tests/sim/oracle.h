/*
 * What a lake must hold, by brute force: the sentences of docs/CONSENT.md and docs/GUARANTEES.md as directly as code
 * can say them, over lists, for the shop lake (tests/lakes/shop). Shares nothing with weir but the JSON reader.
 *
 * Two lists are the whole state: the records of the event log by offset, each with what became of it, and the
 * changes of the consent log by number. Everything else is recomputed when it is asked for.
 */
#ifndef WEIR_TESTS_SIM_ORACLE_H
#define WEIR_TESTS_SIM_ORACLE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ORACLE_PURPOSES 2

extern const char *const oracle_purposes[ORACLE_PURPOSES];

enum oracle_fate { ORACLE_ACCEPTED, ORACLE_DUPLICATE, ORACLE_REFUSED, ORACLE_AHEAD, ORACLE_LATE };

/* One record of the event log; its index is its offset. */
struct oracle_record {
	char *payload;
	json_t *event; /* NULL: what the door refused */
	int64_t received_us, time_us;
	enum oracle_fate fate;
	bool is_late;
};

struct oracle_change {
	uint64_t lsn;
	enum { ORACLE_POST, ORACLE_WITHDRAW, ORACLE_REMOVE } kind;
	char subject[16], rule_id[16], purpose[24];
	json_t *rule; /* POST */
};

struct oracle {
	struct oracle_record *records;
	size_t record_count, record_capacity;
	struct oracle_change *changes;
	size_t change_count, change_capacity;
	int64_t max_event_us; /* of the accepted events */
};

void oracle_init(struct oracle *oracle);
void oracle_done(struct oracle *oracle);
/* The next record of the log; valid is what the door must think of it. */
void oracle_add_record(struct oracle *oracle, const char *payload, bool valid, int64_t received_us);
/* The next change; takes the reference to change->rule. */
void oracle_add_change(struct oracle *oracle, const struct oracle_change *take_change);
uint64_t oracle_head(const struct oracle *oracle);
/* Could it change nothing: a rule whose purposes were not withdrawn since, a purpose that no permit gives, no such rule? */
bool oracle_changes_nothing(const struct oracle *oracle, const struct oracle_change *change);
/* A rule was posted again in other words and got no number: from now on the newest version is taken by these words. */
void oracle_respell(struct oracle *oracle, const struct oracle_change *change);
/* Is the record's row permitted for the purpose by the changes up to number lsn? */
bool oracle_permits(const struct oracle *oracle, const struct oracle_record *record, unsigned purpose, uint64_t lsn);
/* How many changes the subject has up to a number. */
unsigned oracle_changes_of(const struct oracle *oracle, const char *subject, uint64_t lsn);
/* The category that the lookup table gives a page, or NULL. */
const char *oracle_category(const char *page);
const char *oracle_text(const json_t *object, const char *member); /* NULL where it is no text */
/* "2025-02-01T08:00:00.250Z" or a date, to microseconds; -1 where it is neither. */
int64_t oracle_time(const char *text);

#endif
