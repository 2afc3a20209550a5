-- silver.visits: one row for each visit, with its category.
SELECT v.visit_id, v.customer_id, v.visited_at, v.page, c.category, v.amount, v.items, v.is_return, v.birthday, v.trace_id,
	v.is_late
FROM visits v
LEFT JOIN lookup.categories c ON c.page = v.page
