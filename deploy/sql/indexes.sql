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
    wanted_table pg_catalog.text;
    place pg_catalog.name;
    found pg_catalog.regclass;
    time_column pg_catalog.text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    FOREACH wanted_table IN ARRAY ARRAY['ai_operation_log', 'helix_recommendations', 'approval_gates'] LOOP
        found := NULL;
        FOREACH place IN ARRAY path LOOP
            found := to_regclass(format('%I.%I', place, wanted_table));
            EXIT WHEN found IS NOT NULL;
        END LOOP;
        IF (SELECT relkind NOT IN ('r', 'p', 'm') FROM pg_class WHERE oid = found) THEN
            RAISE NOTICE '% is no table: create such indexes on the table behind it', found;
            CONTINUE;
        END IF;
        IF wanted_table = 'ai_operation_log' THEN
            SELECT attname INTO time_column
              FROM pg_attribute
             WHERE attrelid = found AND attname IN ('created_at', 'executed_at') AND NOT attisdropped
             ORDER BY attname DESC  -- a "status" table that also has a created_at is read by executed_at
             LIMIT 1;
            IF time_column IS NULL THEN
                RAISE EXCEPTION 'no table ai_operation_log with created_at or executed_at on the search_path'
                    USING HINT = 'SET search_path to the schema that holds it, then run this file again.';
            END IF;
            EXECUTE format('CREATE INDEX IF NOT EXISTS ai_operation_log_user_time_idx ON %s (user_id, %I DESC)',
                           found, time_column);
            EXECUTE format('CREATE INDEX IF NOT EXISTS ai_operation_log_model_time_idx ON %s (model_used, %I DESC)',
                           found, time_column);
        ELSIF wanted_table = 'helix_recommendations' AND found IS NOT NULL THEN
            EXECUTE format('CREATE INDEX IF NOT EXISTS helix_recommendations_open_idx ON %s'
                           ' (recommendation_type, approval_status%s)', found,
                           (SELECT ', estimated_savings_usd' FROM pg_attribute
                             WHERE attrelid = found AND attname = 'estimated_savings_usd' AND NOT attisdropped));
        ELSIF wanted_table = 'approval_gates' AND found IS NOT NULL THEN
            EXECUTE format('CREATE INDEX IF NOT EXISTS approval_gates_status_idx ON %s (status)', found);
        END IF;
    END LOOP;
END
$$;
