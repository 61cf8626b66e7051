-- Dify's messages: the columns that matter, their types and indexes as its migrations leave them.
CREATE TABLE messages (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), app_id uuid NOT NULL, model_provider varchar(255),
    model_id varchar(255), conversation_id uuid NOT NULL DEFAULT gen_random_uuid(), query text NOT NULL DEFAULT '',
    message_tokens integer NOT NULL DEFAULT 0, message_unit_price numeric(10, 4) NOT NULL DEFAULT 0,
    answer text NOT NULL DEFAULT '', answer_tokens integer NOT NULL DEFAULT 0,
    provider_response_latency double precision NOT NULL DEFAULT 0, total_price numeric(10, 7),
    currency varchar(255) NOT NULL, from_source varchar(255) NOT NULL DEFAULT 'api', from_end_user_id uuid,
    from_account_id uuid, created_at timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP(0),
    status varchar(255) NOT NULL DEFAULT 'normal', error text
);
CREATE INDEX message_app_id_idx ON messages (app_id, created_at);
CREATE INDEX message_created_at_id_idx ON messages (created_at, id);
-- rows
INSERT INTO messages (app_id, model_id, message_tokens, answer_tokens, provider_response_latency, total_price, currency,
                      from_end_user_id, from_account_id, created_at, status, error)
SELECT ('00000000-0000-0000-0000-00000000000' || g % 3)::uuid, CASE WHEN g % 6 > 0 THEN 'gpt-4o' END, g % 4000, g % 300,
       g % 70 + 0.125, CASE WHEN g % 10 > 0 THEN g % 997 * 0.0000017 END, CASE WHEN g % 4 > 0 THEN 'USD' ELSE 'RMB' END,
       CASE WHEN g % 2 = 0 THEN ('00000000-0000-0000-0000-0000000001' || 10 + g % 5)::uuid END,
       CASE WHEN g % 3 = 0 THEN ('00000000-0000-0000-0000-0000000002' || 10 + g % 5)::uuid END,
       now() AT TIME ZONE 'UTC' - g * interval '{step} seconds',
       (ARRAY['normal', 'error', 'stopped', 'normal'])[1 + g % 4], CASE WHEN g % 4 = 1 THEN 'timed out — 100%' END
FROM generate_series(1, {rows}) AS g;
-- truth
SELECT count(*), count(*) FILTER (WHERE status = 'error'), sum(total_price) FILTER (WHERE currency = 'USD'),
       sum(message_tokens), sum(answer_tokens)
FROM messages
