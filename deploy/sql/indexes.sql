-- Indexes for reading the log by user and by model (the dashboards' panels on past days), and for counting
-- recommendations and pending approvals once a minute. Works for both layouts; run it as often as you like. On the log
-- itself, the exporter needs only an index that begins with the time column, which both layouts have.
--
-- Creating an index this way stops writers until it is built. On a large table in use, run the statements by hand
-- instead, each outside a transaction (layout "status": executed_at for created_at):
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_operation_log_user_time_idx ON ai_operation_log (user_id, created_at DESC);
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_operation_log_model_time_idx ON ai_operation_log (model_used, created_at DESC);
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS helix_recommendations_open_idx ON helix_recommendations (recommendation_type, approval_status, estimated_savings_usd);
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS approval_gates_status_idx ON approval_gates (status);

-- Nothing of the search path is called here: whoever may create functions, operators or types in one of its schemas
-- could otherwise run them with your rights. It says only where the tables are, and then is the system's own to the end
-- of this statement. So keep it one statement, with the schema of each type.
DO $$
DECLARE
    path CONSTANT pg_catalog.name[] := pg_catalog.current_schemas(false);
    -- Each index: the table's schema (null: the first of the path that has the table), the table, what the index's name
    -- ends with, and its columns. Of the names that a column may have, the first that is there counts.
    wanted CONSTANT pg_catalog.jsonb := '[
        [null, "ai_operation_log", "_user_time_idx", [["user_id"], ["executed_at", "created_at"]]],
        [null, "ai_operation_log", "_model_time_idx", [["model_used", "model"], ["executed_at", "created_at"]]],
        [null, "helix_recommendations", "_open_idx", [["recommendation_type"], ["approval_status"], ["estimated_savings_usd"]]],
        [null, "approval_gates", "_status_idx", [["status"]]]
    ]';
    wanted_schema pg_catalog.name;
    wanted_table pg_catalog.text;
    suffix pg_catalog.text;
    wanted_columns pg_catalog.jsonb;
    place pg_catalog.name;
    found pg_catalog.regclass;
    columns pg_catalog.text[];
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    FOR wanted_schema, wanted_table, suffix, wanted_columns IN
        SELECT each ->> 0, each ->> 1, each ->> 2, each -> 3 FROM jsonb_array_elements(wanted) AS each
    LOOP
        found := NULL;
        FOREACH place IN ARRAY CASE WHEN wanted_schema IS NULL THEN path ELSE ARRAY[wanted_schema] END LOOP
            found := to_regclass(format('%I.%I', place, wanted_table));
            EXIT WHEN found IS NOT NULL;
        END LOOP;
        SELECT array_agg(quote_ident(name) || direction ORDER BY number) INTO columns
          FROM (SELECT DISTINCT ON (number) number, name, CASE WHEN names = '["executed_at", "created_at"]'::jsonb THEN ' DESC' ELSE '' END AS direction
                  FROM jsonb_array_elements(wanted_columns) WITH ORDINALITY AS parts (names, number)
                 CROSS JOIN jsonb_array_elements_text(names) WITH ORDINALITY AS known (name, choice)
                 WHERE EXISTS (SELECT FROM pg_attribute
                                WHERE attrelid = found AND attname = name AND attnum > 0 AND NOT attisdropped)
                 ORDER BY number, choice) AS there;
        IF wanted_table = 'ai_operation_log' AND coalesce(cardinality(columns), 0) < jsonb_array_length(wanted_columns) THEN
            RAISE EXCEPTION 'no table % with the columns % on the search_path', wanted_table, wanted_columns
                USING HINT = 'SET search_path to the schema that holds it, then run this file again.';
        END IF;
        CONTINUE WHEN columns IS NULL;
        IF (SELECT relkind NOT IN ('r', 'p', 'm') FROM pg_class WHERE oid = found) THEN
            RAISE NOTICE '% is no table: create such indexes on the table behind it', found;
            CONTINUE;
        END IF;
        EXECUTE format('CREATE INDEX IF NOT EXISTS %I ON %s (%s)',
                       wanted_table || suffix, found, array_to_string(columns, ', '));
    END LOOP;
END
$$;
