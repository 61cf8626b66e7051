-- Indexes for reading the log by user and by model (the dashboards' panels on past days), and for counting
-- recommendations and pending approvals once a minute. Works for both layouts; run it as often as you like. On the log
-- itself, the exporter needs only an index that begins with the time column, which both layouts have.
--
-- Creating an index this way stops writers until it is built. On a large table in use, run the statements by hand
-- instead, each outside a transaction (layout "status": executed_at for created_at):
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_operation_log_user_time_idx ON ai_operation_log (user_id, created_at DESC);
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS ai_operation_log_model_time_idx ON ai_operation_log (model_used, created_at DESC);
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS helix_recommendations_type_status_idx ON helix_recommendations (recommendation_type, approval_status);
--   CREATE INDEX CONCURRENTLY IF NOT EXISTS approval_gates_status_idx ON approval_gates (status);

DO $$
DECLARE
    time_column text;
BEGIN
    SELECT attname INTO time_column
      FROM pg_attribute
     WHERE attrelid = to_regclass('ai_operation_log') AND attname IN ('created_at', 'executed_at') AND NOT attisdropped
     ORDER BY attname DESC  -- a "status" table that also has a created_at is read by executed_at
     LIMIT 1;
    IF time_column IS NULL THEN
        RAISE EXCEPTION 'no table ai_operation_log with created_at or executed_at on the search_path'
            USING HINT = 'SET search_path to the schema that holds it, then run this file again.';
    END IF;
    EXECUTE format('CREATE INDEX IF NOT EXISTS ai_operation_log_user_time_idx'
                   ' ON ai_operation_log (user_id, %I DESC)', time_column);
    EXECUTE format('CREATE INDEX IF NOT EXISTS ai_operation_log_model_time_idx'
                   ' ON ai_operation_log (model_used, %I DESC)', time_column);
    IF to_regclass('helix_recommendations') IS NOT NULL THEN
        CREATE INDEX IF NOT EXISTS helix_recommendations_type_status_idx
            ON helix_recommendations (recommendation_type, approval_status);
    END IF;
    IF to_regclass('approval_gates') IS NOT NULL THEN
        CREATE INDEX IF NOT EXISTS approval_gates_status_idx ON approval_gates (status);
    END IF;
END
$$;
