-- Phoenix's spans: columns, types and indexes as its models have them.
CREATE TABLE spans (
    id bigserial PRIMARY KEY, trace_rowid bigint NOT NULL DEFAULT 1, span_id varchar NOT NULL, parent_id varchar,
    name varchar NOT NULL, span_kind varchar NOT NULL, start_time timestamptz NOT NULL, end_time timestamptz NOT NULL,
    attributes jsonb NOT NULL, events jsonb NOT NULL DEFAULT '[]', status_code varchar NOT NULL DEFAULT 'UNSET',
    status_message varchar NOT NULL, cumulative_error_count integer NOT NULL DEFAULT 0,
    llm_token_count_prompt integer, llm_token_count_completion integer
);
CREATE INDEX ix_spans_start_time ON spans (start_time);
CREATE INDEX ix_spans_trace_rowid ON spans (trace_rowid);
-- rows
INSERT INTO spans (span_id, name, span_kind, start_time, end_time, attributes, status_code, status_message,
                   llm_token_count_prompt, llm_token_count_completion)
SELECT g::text, 'ChatCompletion', CASE WHEN g % 3 = 0 THEN 'CHAIN' ELSE 'LLM' END, at, at + g % 90 * interval '1 second',
       CASE WHEN g % 4 > 0 THEN jsonb_build_object('llm', jsonb_build_object('model_name', 'gpt-4o',
                'token_count', jsonb_build_object('prompt_details', jsonb_build_object('cache_read', g % 500))),
                                                   'user', jsonb_build_object('id', 'user-' || g % 5)) ELSE '{}' END,
       (ARRAY['OK', 'UNSET', 'ERROR', 'OK'])[1 + g % 4], CASE WHEN g % 4 = 2 THEN 'rate limit — 100%' ELSE '' END,
       CASE WHEN g % 5 > 0 THEN g % 4000 END, CASE WHEN g % 5 > 0 THEN g % 300 END
FROM (SELECT g, now() - g * interval '{step} seconds' AS at FROM generate_series(1, {rows}) AS g) AS made;
-- truth
SELECT count(*), count(*) FILTER (WHERE status_code = 'ERROR'), 0, sum(llm_token_count_prompt),
       sum(llm_token_count_completion)
FROM spans WHERE span_kind = 'LLM'
-- also
SELECT sum((attributes #>> '{llm,token_count,prompt_details,cache_read}')::int) AS cached_tokens
FROM spans WHERE span_kind = 'LLM'
