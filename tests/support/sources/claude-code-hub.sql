-- claude-code-hub's requests: the columns that matter, their types and indexes as its schema has them.
CREATE TABLE message_request (
    id serial PRIMARY KEY, provider_id integer NOT NULL DEFAULT 1, user_id integer NOT NULL, key varchar NOT NULL,
    model varchar(128), duration_ms integer, ttfb_ms integer, cost_usd numeric(21, 15) DEFAULT 0,
    session_id varchar(64), status_code integer, endpoint varchar(256), input_tokens bigint, output_tokens bigint,
    cache_creation_input_tokens bigint, cache_read_input_tokens bigint,
    error_message text, blocked_by varchar(50), created_at timestamptz DEFAULT now(), updated_at timestamptz,
    deleted_at timestamptz
);
CREATE INDEX idx_message_request_user_date_cost ON message_request (user_id, created_at, cost_usd)
    WHERE deleted_at IS NULL;
CREATE INDEX idx_message_request_created_at ON message_request (created_at);
-- rows
INSERT INTO message_request (user_id, key, model, duration_ms, ttfb_ms, cost_usd, status_code, endpoint, input_tokens,
                             output_tokens, cache_creation_input_tokens, cache_read_input_tokens, error_message, blocked_by, created_at, deleted_at)
SELECT g % 5, 'k', 'claude-sonnet-4-5', CASE WHEN g % 6 > 0 THEN g % 9000 END, CASE WHEN g % 4 > 0 THEN g % 5000 END, g * 0.000001234,
       (ARRAY[200, 200, 429, NULL, 503, 201])[1 + g % 6], '/v1/messages', g % 4000, g % 300,
       CASE WHEN g % 5 > 0 THEN g % 20 END, CASE WHEN g % 7 > 0 THEN g % 900 END,
       CASE WHEN g % 6 IN (2, 4) THEN 'overloaded — 100%' END, (ARRAY['warmup', 'sensitive_word', NULL, NULL])[1 + g % 4],
       now() - g * interval '{step} seconds', CASE WHEN g % 10 = 0 THEN now() END
FROM generate_series(1, {rows}) AS g;
-- truth
SELECT count(status_code), count(*) FILTER (WHERE status_code >= 400), sum(cost_usd),
       sum(input_tokens + coalesce(cache_creation_input_tokens, 0) + coalesce(cache_read_input_tokens, 0)),
       sum(output_tokens)
FROM message_request WHERE deleted_at IS NULL AND coalesce(blocked_by, '') <> 'warmup'
-- also
SELECT sum(cache_read_input_tokens) AS cached_tokens,
       count(ttfb_ms) FILTER (WHERE status_code IS NOT NULL) AS first_tokens,
       sum(ttfb_ms) FILTER (WHERE status_code IS NOT NULL) / 1000.0 AS first_token_seconds
FROM message_request WHERE deleted_at IS NULL AND coalesce(blocked_by, '') <> 'warmup'
