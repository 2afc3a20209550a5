/*
 * A small shop's visits: customers look at pages, some fill a basket, few buy. It shows that nothing of weir is about
 * athletes, and exercises the same paths on a lake of another shape.
 *
 * A customer's heap entry is the next page of the visit under way, or the first of the next one.
 */
#include "gen/gen_int.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/hash.h"
#include "base/json.h"

#define USUAL_PAGES_A_DAY 4 /* a customer, where no number of events is asked for */
#define MEAN_PAGES        5

enum page { PAGE_HOME, PAGE_SEARCH, PAGE_PRODUCT, PAGE_BASKET, PAGE_CHECKOUT, PAGE_THANKS, PAGES };
static const char *const page_paths[PAGES] = {"/", "/search", NULL, "/basket", "/checkout", "/thanks"};
#define PRODUCTS 6u
static const char *const product_paths[PRODUCTS] = {
	"/shoes/trail", "/shoes/road", "/jackets/rain", "/watches/gps", "/socks/wool", "/gift-cards"};
#define RETURNS_PERCENT   4u
#define BIRTHDAYS_PERCENT 30u
enum { PURPOSES = 2, CATEGORIES = 3 };
static const char *const purpose_names[PURPOSES] = {"analytics", "personalisation"};
static const char *const categories[CATEGORIES] = {"shoes", "clothing", "electronics"};

struct customer {
	uint64_t draws; /* how often its generator was drawn from: its whole state */
	int32_t basket_cents;
	uint16_t items;
	uint8_t page; /* the next one; PAGES: none, a new visit begins */
	bool returns; /* came to give something back */
};

struct shop {
	uint64_t seed;
	int64_t start_us, end_us; /* end 0: until the caller has enough */
	int64_t gap_us;           /* mean time between two visits of a customer */
	struct gen_heap heap;
	struct customer *customers;
};

struct visit {
	struct gen_record head;
	int32_t basket_cents;
	int32_t birthday; /* day, 0: not given */
	uint16_t items;
	uint8_t page, product;
	bool returns;
};
_Static_assert(sizeof(struct visit) <= GEN_RECORD_BYTES, "a visit fits a record");

/* The time to the next visit: from nothing to four times the mean, short ones more often. */
static int64_t draw_gap_us(const struct shop *self, struct weir_rng *rng)
{
	return 4 * gen_skewed(rng, self->gap_us);
}

static struct weir_rng draw(const struct shop *self, uint32_t customer, uint64_t index)
{
	return weir_rng_fork(self->seed ^ 0x73686f70, weir_mix64(customer + 1) ^ index);
}

static void *shop_open(const struct gen_options *options)
{
	struct shop *self = weir_zalloc(sizeof *self);
	double pages_a_day = USUAL_PAGES_A_DAY;
	if (options->events > 0)
		pages_a_day = (double)options->events / ((double)options->subjects * options->days);
	double gap_us = (double)WEIR_US_PER_DAY * MEAN_PAGES / pages_a_day;
	self->gap_us = gap_us < 1e6 ? 1000000 : gap_us > 1e15 ? 1000000000000000 : (int64_t)gap_us;
	self->seed = options->seed;
	self->start_us = options->start_day * WEIR_US_PER_DAY;
	self->end_us = options->events > 0 ? 0 : self->start_us + options->days * WEIR_US_PER_DAY;
	self->customers = weir_zalloc(options->subjects * sizeof *self->customers);
	for (uint32_t i = 0; i < options->subjects; i++) {
		struct weir_rng rng = draw(self, i, 0);
		self->customers[i] = (struct customer){.draws = 1, .page = PAGES};
		/* The first ones are spread over a gap, so that the shop does not open to a crowd. */
		int64_t first_us = self->start_us + (int64_t)weir_rng_below(&rng, (uint64_t)self->gap_us);
		gen_heap_push(&self->heap, (struct gen_arrival){first_us / 1000 * 1000, i, 0});
	}
	return self;
}

static void shop_close(void *context)
{
	struct shop *self = context;
	gen_heap_done(&self->heap);
	free(self->customers);
	free(self);
}

/* Where a page leads; PAGES: away. */
static enum page draw_next_page(enum page page, struct weir_rng *rng)
{
	static const uint8_t ways[PAGES][PAGES + 1] = {
		[PAGE_HOME] = {0, 45, 30, 2, 0, 0, 23},
		[PAGE_SEARCH] = {5, 20, 55, 0, 0, 0, 20},
		[PAGE_PRODUCT] = {4, 22, 30, 22, 0, 0, 22},
		[PAGE_BASKET] = {0, 10, 25, 0, 40, 0, 25},
		[PAGE_CHECKOUT] = {0, 0, 0, 12, 0, 68, 20},
		[PAGE_THANKS] = {20, 0, 0, 0, 0, 0, 80},
	};
	return gen_weighted(rng, ways[page], PAGES + 1, 100);
}

/* The day on which the customer says to be born, the same in each visit; 0 for those who do not say. */
static int32_t birthday_of(const struct shop *self, uint32_t customer)
{
	uint64_t hash = weir_mix64(self->seed ^ weir_mix64((uint64_t)customer << 8 | 0x62));
	return hash % 100 < BIRTHDAYS_PERCENT ? weir_day_from_civil(1950, 1, 1) + (int32_t)((hash >> 32) % 20000) : 0;
}

static void begin_visit(struct customer *customer, struct weir_rng *rng)
{
	static const uint8_t first_pages[PAGES] = {55, 15, 30, 0, 0, 0};
	*customer = (struct customer){.draws = customer->draws,
		.page = (uint8_t)gen_weighted(rng, first_pages, PAGES, 100),
		.returns = gen_percent(rng, RETURNS_PERCENT)};
}

static bool shop_next(void *context, union gen_any_record *ret_record)
{
	struct shop *self = context;
	while (self->end_us > 0 && self->heap.count > 0 && self->heap.items[0].at_us >= self->end_us)
		gen_heap_pop(&self->heap);
	if (self->heap.count == 0)
		return false;
	struct gen_arrival first = self->heap.items[0];
	struct customer *customer = &self->customers[first.owner];
	struct weir_rng rng = draw(self, first.owner, customer->draws++);
	if (customer->page == PAGES)
		begin_visit(customer, &rng);
	struct visit *visit = (struct visit *)ret_record->bytes;
	visit->head.time_us = first.at_us - (int64_t)weir_rng_below(&rng, 300) * 1000;
	visit->head.arrival_us = first.at_us;
	visit->head.subject = first.owner;
	visit->head.id[0] = weir_rng_next(&rng);
	visit->head.id[1] = weir_rng_next(&rng);
	visit->page = customer->page;
	visit->product = (uint8_t)gen_skewed(&rng, PRODUCTS);
	visit->returns = customer->returns;
	visit->birthday = birthday_of(self, first.owner);
	if (visit->page == PAGE_BASKET) {
		customer->items++;
		customer->basket_cents += 295 + (int32_t)gen_skewed(&rng, 20000);
	}
	visit->items = customer->items;
	visit->basket_cents = customer->basket_cents;
	customer->page = (uint8_t)draw_next_page(visit->page, &rng);
	int64_t next_us = first.at_us;
	if (customer->page == PAGES)
		next_us += draw_gap_us(self, &rng) + WEIR_US_PER_MINUTE;
	else
		next_us += (2000 + gen_skewed(&rng, 90000)) * 1000;
	gen_heap_replace_first(&self->heap, (struct gen_arrival){next_us / 1000 * 1000, first.owner, 0});
	return true;
}

static char *shop_put_id(const void *context, uint32_t subject, char *out)
{
	(void)context;
	out = GEN_PUT(out, "customer-");
	return gen_put_padded(out, (uint64_t)subject + 1, 5);
}

static char *put_time(char *out, int64_t time_us, enum gen_fault fault)
{
	out = GEN_PUT(out, ",\"visited_at\":");
	if (fault == GEN_FAULT_NEGATIVE_TIME) {
		*out++ = '-';
		return gen_put_uint(out, (uint64_t)(time_us / 1000));
	}
	if (fault == GEN_FAULT_TEXT_TIME)
		return GEN_PUT(out, "\"just now\"");
	*out++ = '"';
	out = gen_put_time(out, time_us);
	if (fault == GEN_FAULT_LOCAL_TIME)
		out--; /* the zone */
	*out++ = '"';
	return out;
}

static char *put_birthday(char *out, int32_t day)
{
	int year, month, day_of_month;
	weir_civil_from_day(day, &year, &month, &day_of_month);
	out = GEN_PUT(out, ",\"birthday\":\"");
	out = gen_put_padded(out, (uint64_t)year, 4);
	*out++ = '-';
	out = gen_put_padded(out, (uint64_t)month, 2);
	*out++ = '-';
	out = gen_put_padded(out, (uint64_t)day_of_month, 2);
	*out++ = '"';
	return out;
}

static char *shop_write(const void *context, const union gen_any_record *record, enum gen_fault fault, char *out)
{
	const struct visit *visit = (const struct visit *)record->bytes;
	out = GEN_PUT(out, "{\"visit_id\":\"");
	char *id = out;
	out = gen_put_uuid(out, visit->head.id);
	if (fault == GEN_FAULT_ID)
		id[14] = 'x';
	*out++ = '"';
	if (fault != GEN_FAULT_NO_SUBJECT) {
		out = GEN_PUT(out, ",\"customer_id\":\"");
		out = shop_put_id(context, visit->head.subject, out);
		*out++ = '"';
	}
	out = put_time(out, visit->head.time_us, fault);
	if (fault != GEN_FAULT_NO_BODY) {
		const char *path =
			visit->page == PAGE_PRODUCT ? product_paths[visit->product] : page_paths[visit->page];
		out = GEN_PUT(out, ",\"page\":\"");
		out = gen_put(out, weir_str_from(path));
		*out++ = '"';
	}
	if (fault == GEN_FAULT_TYPE) {
		out = GEN_PUT(out, ",\"amount\":\"a lot\"");
	} else if (visit->items > 0) {
		out = GEN_PUT(out, ",\"amount\":");
		out = gen_put_decimal(out, visit->basket_cents, 2);
		out = GEN_PUT(out, ",\"items\":");
		out = gen_put_uint(out, visit->items);
	}
	if (visit->returns)
		out = GEN_PUT(out, ",\"is_return\":true");
	else if (visit->page == PAGE_CHECKOUT)
		out = GEN_PUT(out, ",\"is_return\":false");
	if (visit->birthday != 0)
		out = put_birthday(out, visit->birthday);
	*out++ = '}';
	return out;
}

static void put_condition(
	struct weir_json *json, const char *name, const char *op, const char *const *values, unsigned count)
{
	weir_json_key(json, name);
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", op);
	weir_json_key(json, "values");
	weir_json_array(json);
	for (unsigned i = 0; i < count; i++) {
		weir_json_object(json);
		weir_json_key_cstring(json, "value", values[i]);
		weir_json_object_end(json);
	}
	weir_json_array_end(json);
	weir_json_object_end(json);
}

static void put_amount_limit(struct weir_json *json, int32_t francs)
{
	weir_json_key(json, "amount");
	weir_json_object(json);
	weir_json_key_cstring(json, "operator", "LT");
	weir_json_key_int(json, "value", francs);
	weir_json_object_end(json);
}

static void put_rule(const struct shop *self, uint32_t subject, bool deny, struct weir_rng *rng, struct weir_buf *out)
{
	char id[32];
	struct weir_json json = weir_json_to(out);
	unsigned count = deny ? 1 : 1 + (unsigned)weir_rng_below(rng, PURPOSES);
	weir_json_object(&json);
	weir_json_key_string(&json, "userId", (struct weir_str){id, (size_t)(shop_put_id(self, subject, id) - id)});
	weir_json_key_cstring(&json, "ruleId", deny ? "never" : "default");
	weir_json_key_cstring(&json, "effect", deny ? "deny" : "permit");
	weir_json_key(&json, "dimensions");
	weir_json_object(&json);
	put_condition(&json, "purpose", "IN", purpose_names + (deny ? PURPOSES - 1 : 0), count);
	if (gen_percent(rng, deny ? 60 : 25))
		put_condition(&json, "category", deny ? "EQUALS" : "IN",
			categories + (deny ? weir_rng_below(rng, CATEGORIES) : 0), deny ? 1 : 2);
	else if (!deny && gen_percent(rng, 25))
		put_amount_limit(&json, 50 * gen_between(rng, 1, 6));
	weir_json_object_end(&json);
	weir_json_object_end(&json);
	weir_buf_putc(out, '\n');
}

static void shop_rules(const void *context, uint32_t subject, struct weir_buf *out)
{
	const struct shop *self = context;
	struct weir_rng rng = weir_rng_fork(self->seed ^ 0x72756c65, subject);
	if (gen_percent(&rng, 15))
		return;
	put_rule(self, subject, false, &rng, out);
	if (gen_percent(&rng, 15))
		put_rule(self, subject, true, &rng, out);
}

const struct gen_kind gen_shop = {
	.lake = "shop",
	.stream = "visits",
	.open = shop_open,
	.close = shop_close,
	.next = shop_next,
	.write = shop_write,
	.rules = shop_rules,
	.subject = shop_put_id,
};
