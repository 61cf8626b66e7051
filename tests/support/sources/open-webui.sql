-- Open WebUI's messages: columns, types and indexes as its models have them.
CREATE TABLE chat_message (
    id text PRIMARY KEY, chat_id text NOT NULL, user_id text, role text NOT NULL, parent_id text, content json,
    output json, model_id text, files json, sources json, embeds json, done boolean DEFAULT true, status_history json,
    error json, usage json, created_at bigint, updated_at bigint
);
CREATE INDEX chat_message_created_at_idx ON chat_message (created_at);
CREATE INDEX chat_message_model_created_idx ON chat_message (model_id, created_at);
CREATE INDEX chat_message_user_created_idx ON chat_message (user_id, created_at);
-- rows
INSERT INTO chat_message (id, chat_id, user_id, role, model_id, done, error, usage, created_at)
SELECT g::text, 'c', 'user-' || g % 5, CASE WHEN g % 2 = 0 THEN 'user' ELSE 'assistant' END, 'gpt-4o', g % 9 > 0,
       CASE WHEN g % 7 = 0 THEN '{"content": "HTTP 503 — 100%"}' WHEN g % 7 = 1 THEN 'null' END::json,
       CASE g % 3 WHEN 0 THEN json_build_object('input_tokens', g % 4000, 'output_tokens', g % 300)
                  WHEN 1 THEN json_build_object('prompt_tokens', g % 4000, 'completion_tokens', g % 300,
                                                'prompt_tokens_details', json_build_object('cached_tokens',
                                                    CASE g % 4 WHEN 1 THEN to_json(g % 600) WHEN 3 THEN '"x"' END)) END,
       extract(epoch FROM now())::bigint - g * {step}
FROM generate_series(1, {rows}) AS g;
-- truth
SELECT count(*) FILTER (WHERE done), count(*) FILTER (WHERE done AND error::text <> 'null'), 0,
       sum(coalesce(usage ->> 'input_tokens', usage ->> 'prompt_tokens')::int),
       sum(coalesce(usage ->> 'output_tokens', usage ->> 'completion_tokens')::int)
FROM chat_message WHERE role = 'assistant'
-- also
SELECT sum(nullif(usage #>> '{prompt_tokens_details,cached_tokens}', 'x')::int) AS cached_tokens
FROM chat_message WHERE role = 'assistant'
