-- The users who have spent the most since midnight in UTC.
SELECT coalesce(user_id::text, 'unattributed') AS username,
       coalesce(sum(cost_usd), 0)::float8 AS spend_usd
FROM ai_operation_log
WHERE created_at >= date_trunc('day', now() AT TIME ZONE 'UTC')
GROUP BY 1
ORDER BY 2 DESC
LIMIT 20
