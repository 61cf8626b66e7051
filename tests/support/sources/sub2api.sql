-- sub2api's usage log: the columns that matter, their types and indexes as its migrations leave them.
CREATE TABLE usage_logs (
    id bigserial PRIMARY KEY, user_id bigint NOT NULL, api_key_id bigint NOT NULL, account_id bigint NOT NULL DEFAULT 1,
    request_id varchar(64), model varchar(100) NOT NULL, input_tokens integer NOT NULL DEFAULT 0,
    output_tokens integer NOT NULL DEFAULT 0, cache_creation_tokens integer NOT NULL DEFAULT 0,
    cache_read_tokens integer NOT NULL DEFAULT 0, total_cost numeric(20, 10) NOT NULL DEFAULT 0,
    actual_cost numeric(20, 10) NOT NULL DEFAULT 0, stream boolean NOT NULL DEFAULT false, duration_ms integer,
    first_token_ms integer, created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_usage_logs_created_at ON usage_logs (created_at);
CREATE INDEX idx_usage_logs_user_id ON usage_logs (user_id);
-- rows
INSERT INTO usage_logs (user_id, api_key_id, model, input_tokens, output_tokens, cache_creation_tokens,
                        cache_read_tokens, total_cost, actual_cost, duration_ms, first_token_ms, created_at)
SELECT g % 5, g % 3, 'claude-sonnet-4-5', g % 4000, g % 300, g % 20, g % 800, g * 0.0000012345, g * 0.0000006789,
       CASE WHEN g % 6 > 0 THEN g % 9000 END, CASE WHEN g % 5 > 0 THEN g % 7000 END, now() - g * interval '{step} seconds'
FROM generate_series(1, {rows}) AS g;
-- truth
SELECT count(*), 0, sum(actual_cost), sum(input_tokens + cache_creation_tokens + cache_read_tokens), sum(output_tokens)
FROM usage_logs
-- also
SELECT sum(cache_read_tokens) AS cached_tokens, count(first_token_ms) AS first_tokens,
       sum(first_token_ms) / 1000.0 AS first_token_seconds
FROM usage_logs
