-- Lunary's runs: the columns that matter, their types and indexes as its migrations leave them.
CREATE TABLE run (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), created_at timestamptz DEFAULT now(), ended_at timestamptz,
    duration interval GENERATED ALWAYS AS (ended_at - created_at) STORED, project_id uuid, status text, name text,
    error jsonb, type text NOT NULL, prompt_tokens integer, completion_tokens integer, cost double precision,
    external_user_id bigint, error_text text, input_text text, output_text text
);
CREATE INDEX run_created_at_idx ON run (created_at DESC);
CREATE INDEX run_type_idx ON run (type);
-- rows
INSERT INTO run (created_at, ended_at, status, name, type, prompt_tokens, completion_tokens, cost, external_user_id,
                 error_text)
SELECT at, CASE WHEN g % 5 > 0 THEN at + g % 90 * interval '1 second' END,
       (ARRAY[NULL, 'success', 'error', 'success', 'success'])[1 + g % 5], 'gpt-4o',
       CASE WHEN g % 3 = 0 THEN 'chain' ELSE 'llm' END, g % 4000, g % 300,
       CASE WHEN g % 4 > 0 THEN g * 0.00000321 END, g % 5, CASE WHEN g % 5 = 2 THEN 'rate limit — 100%' END
FROM (SELECT g, now() - g * interval '{step} seconds' AS at FROM generate_series(1, {rows}) AS g) AS made;
-- truth
SELECT count(status), count(*) FILTER (WHERE status = 'error'), coalesce(sum(round(cost::text::numeric, 12)), 0),
       sum(prompt_tokens), sum(completion_tokens)
FROM run WHERE type = 'llm'
