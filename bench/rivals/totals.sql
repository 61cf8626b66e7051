-- What Prometheus needs for counters: calls, cost and tokens since the first row.
SELECT coalesce(operation_id, operation_type) AS operation,
       model_used AS model,
       CASE WHEN success THEN 'success' ELSE 'failed' END AS status,
       count(*)::float8 AS calls,
       coalesce(sum(cost_usd), 0)::float8 AS cost_usd,
       coalesce(sum(input_tokens), 0)::float8 AS input_tokens,
       coalesce(sum(output_tokens), 0)::float8 AS output_tokens
FROM ai_operation_log
GROUP BY 1, 2, 3
