-- gold.visits: without the birthday.
SELECT trace_id, visit_id, customer_id, visited_at, page, category, amount, items, is_return
FROM visits
