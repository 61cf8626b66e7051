-- new-api's logs: columns, types and indexes as its models have them.
CREATE TABLE logs (
    id bigserial PRIMARY KEY, user_id bigint, created_at bigint, type bigint, content text,
    username text DEFAULT '', token_name text DEFAULT '', model_name text DEFAULT '', quota bigint DEFAULT 0,
    prompt_tokens bigint DEFAULT 0, completion_tokens bigint DEFAULT 0, use_time bigint DEFAULT 0, is_stream boolean,
    channel_id bigint, token_id bigint DEFAULT 0, "group" text, ip text DEFAULT '', other text
);
CREATE INDEX idx_created_at_id ON logs (id, created_at);
CREATE INDEX idx_created_at_type ON logs (created_at, type);
CREATE INDEX idx_logs_user_id ON logs (user_id);
CREATE INDEX index_username_model_name ON logs (model_name, username);
-- rows
INSERT INTO logs (created_at, type, content, username, token_name, model_name, quota, prompt_tokens, completion_tokens,
                  use_time, is_stream, other)
SELECT extract(epoch FROM now())::bigint - g * {step}, (ARRAY[2, 2, 2, 5, 1, 6, 2, 3])[1 + g % 8], 'HTTP 429 — 100%',
       CASE WHEN g % 4 > 0 THEN 'user-' || g % 5 ELSE '' END, CASE WHEN g % 3 > 0 THEN 'key ' || g % 4 ELSE '' END,
       CASE WHEN g % 9 > 0 THEN 'gpt-4o' ELSE '' END,
       CASE WHEN (g % 8) IN (3, 4) THEN 5000000 WHEN g % 16 = 6 THEN -(g % 997) ELSE g % 7919 END, g % 4000, g % 300, g % 90, (ARRAY[true, true, false, NULL])[1 + g % 4],
       CASE g % 5 WHEN 0 THEN format('{"cache_ratio":0.1,"cache_tokens":%s,"frt":%s.5}', g % 800, g % 9000)
                  WHEN 1 THEN '{"cache_tokens":-1,"frt":-1000}' WHEN 2 THEN '{"cache_tokens":"7' WHEN 3 THEN '' END
FROM generate_series(1, {rows}) AS g;
-- truth
SELECT count(*) FILTER (WHERE type <> 6), count(*) FILTER (WHERE type = 5),
       coalesce(sum(CASE type WHEN 2 THEN quota WHEN 6 THEN -quota END), 0)::numeric / 500000,
       sum(prompt_tokens), sum(completion_tokens)
FROM logs WHERE type IN (2, 5, 6)
-- also
SELECT sum((known ->> 'cache_tokens')::int) AS cached_tokens,
       count(known) FILTER (WHERE is_stream AND type <> 6) AS first_tokens,
       sum((known ->> 'frt')::numeric / 1000) FILTER (WHERE is_stream AND type <> 6) AS first_token_seconds,
       sum(greatest(CASE type WHEN 2 THEN -quota WHEN 6 THEN quota END, 0)) / 500000.0 AS refunds
FROM (SELECT *, CASE WHEN other LIKE '%ratio%' THEN other::json END AS known FROM logs) AS logs WHERE type IN (2, 5, 6)
