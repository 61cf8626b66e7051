-- LiteLLM's spend log: columns, types and indexes as its migrations leave them.
CREATE TABLE "LiteLLM_SpendLogs" (
    request_id text PRIMARY KEY, call_type text NOT NULL, api_key text NOT NULL DEFAULT '',
    spend double precision NOT NULL DEFAULT 0.0, total_tokens integer NOT NULL DEFAULT 0,
    prompt_tokens integer NOT NULL DEFAULT 0, completion_tokens integer NOT NULL DEFAULT 0,
    "startTime" timestamp(3) NOT NULL, "endTime" timestamp(3) NOT NULL, request_duration_ms integer,
    "completionStartTime" timestamp(3), model text NOT NULL DEFAULT '', model_id text DEFAULT '',
    model_group text DEFAULT '', custom_llm_provider text DEFAULT '', api_base text DEFAULT '', "user" text DEFAULT '',
    metadata jsonb DEFAULT '{}', cache_hit text DEFAULT '', cache_key text DEFAULT '', request_tags jsonb DEFAULT '[]',
    team_id text, organization_id text, end_user text, requester_ip_address text, messages jsonb DEFAULT '{}',
    response jsonb DEFAULT '{}', proxy_server_request jsonb DEFAULT '{}', session_id text, status text, agent_id text,
    mcp_namespaced_tool_name text, billing_agent_id text, litellm_call_id text,
    created_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP, updated_at timestamp(3) NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE INDEX "LiteLLM_SpendLogs_startTime_idx" ON "LiteLLM_SpendLogs" ("startTime");
CREATE INDEX "LiteLLM_SpendLogs_startTime_request_id_idx" ON "LiteLLM_SpendLogs" ("startTime", request_id);
CREATE INDEX "LiteLLM_SpendLogs_end_user_idx" ON "LiteLLM_SpendLogs" (end_user);
CREATE INDEX "LiteLLM_SpendLogs_session_id_idx" ON "LiteLLM_SpendLogs" (session_id);
CREATE INDEX "LiteLLM_SpendLogs_api_key_startTime_idx" ON "LiteLLM_SpendLogs" (api_key, "startTime");
CREATE INDEX "LiteLLM_SpendLogs_litellm_call_id_idx" ON "LiteLLM_SpendLogs" (litellm_call_id);
-- rows
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, spend, prompt_tokens, completion_tokens, "startTime", "endTime",
                                 "completionStartTime", request_duration_ms, model, model_group, "user", metadata, status, cache_hit)
SELECT md5(g::text), (ARRAY['acompletion', 'aembedding', 'anthropic_messages'])[1 + g % 3],
       CASE WHEN g % 7 = 0 THEN 'NaN' WHEN g % 11 = 0 THEN 0 ELSE g * 0.0000123456789 END, g % 4000, g % 300,
       at, at + interval '1234 milliseconds',
       CASE WHEN g % 4 > 0 THEN at + (interval '1 millisecond' * CASE WHEN g % 4 = 1 THEN 1234 ELSE g % 1235 END) END,
       CASE WHEN g % 3 > 0 THEN 1234 END,
       CASE WHEN g % 17 = 0 THEN '' ELSE 'openai/gpt-4o' END,
       CASE WHEN g % 17 = 0 THEN '' WHEN g % 5 > 0 THEN 'gpt-4o' END,
       CASE WHEN g % 4 > 0 THEN 'user-' || g % 5 ELSE '' END,
       CASE WHEN g % 13 = 0 THEN '{"status": "failure", "error_information": {"error_class": "RateLimitError", "error_code": "429", "error_message": "slow down — 100%"}}'::jsonb
            WHEN g % 3 = 0 THEN jsonb_build_object('additional_usage_values', jsonb_build_object('cache_read_input_tokens', g % 700))
            WHEN g % 3 = 1 THEN jsonb_build_object('additional_usage_values', CASE WHEN g % 2 = 0
                THEN jsonb_build_object('cache_read_input_tokens', NULL, 'prompt_tokens_details', jsonb_build_object('cached_tokens', g % 500))
                ELSE '{"cache_read_input_tokens": "many", "prompt_tokens_details": [7]}'::jsonb END) END,
       CASE WHEN g % 13 = 0 AND g % 2 = 0 THEN 'failure' WHEN g % 13 > 0 AND g % 3 > 0 THEN 'success' END,
       CASE WHEN g % 11 = 0 AND g % 2 = 0 THEN 'True' WHEN g % 5 > 0 THEN 'False' END
FROM (SELECT g, (now() AT TIME ZONE 'UTC')::timestamp(3) - g * interval '{step} seconds' AS at
      FROM generate_series(1, {rows}) AS g) AS made;
-- truth
SELECT count(*), count(*) FILTER (WHERE coalesce(status, metadata ->> 'status', '') = 'failure'),
       coalesce(sum(round(spend::text::numeric, 12)) FILTER (WHERE spend <> 'NaN'), 0),
       sum(prompt_tokens), sum(completion_tokens)
FROM "LiteLLM_SpendLogs"
-- also
SELECT sum(CASE WHEN metadata #>> '{additional_usage_values,cache_read_input_tokens}' <> 'many'
                THEN (metadata #>> '{additional_usage_values,cache_read_input_tokens}')::int
                ELSE coalesce((metadata #>> '{additional_usage_values,prompt_tokens_details,cached_tokens}')::int, 0)
           END) AS cached_tokens,
       count(*) FILTER (WHERE "completionStartTime" < "endTime") AS first_tokens,
       sum(extract(epoch FROM "completionStartTime" - "startTime"))
           FILTER (WHERE "completionStartTime" < "endTime") AS first_token_seconds
FROM "LiteLLM_SpendLogs"
