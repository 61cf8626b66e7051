-- Bifrost's log store: columns, types and indexes as its models have them.
CREATE TABLE logs (
    id varchar(255) PRIMARY KEY, parent_request_id varchar(255), "timestamp" timestamptz NOT NULL,
    object_type varchar(255) NOT NULL, provider varchar(255) NOT NULL, model varchar(255) NOT NULL, user_id varchar(255),
    virtual_key_id varchar(255), input_history text, output_message text, latency double precision, token_usage text,
    cost double precision, status varchar(50) NOT NULL, error_details text, stream boolean DEFAULT false,
    prompt_tokens bigint DEFAULT 0, completion_tokens bigint DEFAULT 0, total_tokens bigint DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX idx_logs_timestamp ON logs ("timestamp");
CREATE INDEX idx_logs_object_type ON logs (object_type);
CREATE INDEX idx_logs_status ON logs (status);
-- rows
INSERT INTO logs (id, "timestamp", object_type, provider, model, user_id, latency, cost, status, error_details,
                  prompt_tokens, completion_tokens, token_usage)
SELECT g::text, now() - g * interval '{step} seconds', 'chat.completion', 'openai', 'gpt-4o', 'user-' || g % 5,
       g % 977 + 0.25, CASE WHEN g % 5 > 0 THEN g * 0.00000321 END,
       (ARRAY['success', 'error', 'success', 'processing', 'success'])[1 + g % 5],
       CASE WHEN g % 5 = 1 THEN '{"error": {"message": "rate limit — 100%"}}' END, g % 4000, g % 300,
       CASE g % 4 WHEN 0 THEN format('{"prompt_tokens":9,"prompt_tokens_details":{"cached_tokens":%s}}', g % 700)
                  WHEN 1 THEN format('{"prompt_tokens_details": {"cached_read_tokens": %s}}', g % 600)
                  WHEN 2 THEN '{"cached_tokens' END
FROM generate_series(1, {rows}) AS g;
-- truth
SELECT count(*) FILTER (WHERE status <> 'processing'), count(*) FILTER (WHERE status = 'error'),
       coalesce(sum(round(cost::text::numeric, 12)), 0), sum(prompt_tokens), sum(completion_tokens)
FROM logs
-- also
SELECT sum(coalesce(token_usage::json #>> '{prompt_tokens_details,cached_tokens}',
                    token_usage::json #>> '{prompt_tokens_details,cached_read_tokens}')::int) AS cached_tokens
FROM logs WHERE token_usage LIKE '%}'
