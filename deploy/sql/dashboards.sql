-- What the dashboards read of single calls, and a role for Grafana that reads this and nothing else.
--
-- The view hides in what the two layouts of the log differ, and leaves out prompts and answers. It is read with the
-- rights of whoever runs this file, who must therefore see every row: a superuser, the tables' owner, or a role with
-- BYPASSRLS; the latter two also need CREATEROLE and CREATE on the database. Grafana's role may read no table at all.
-- Run it as often as you like: psql -v ON_ERROR_STOP=1 -f deploy/sql/dashboards.sql
-- Tables outside the search_path: SET search_path first. The password is not in here: give the role one with psql's
-- \password ai_grafana (it sends only the hash), or ALTER ROLE ai_grafana PASSWORD '...';
--
-- Two settings, to be made before in the same session where the defaults do not fit:
--   SET ai_dashboards.log_time_zone = 'Europe/Berlin';  -- what a timestamp without zone means; UTC when not set
--   SET ai_dashboards.users = 'off';                    -- users are shown as "hidden"; with their ids when not set
-- With another zone than UTC, this index keeps the panels fast:
--   CREATE INDEX ON ai_operation_log ((created_at AT TIME ZONE 'Europe/Berlin'));
--
-- A view keeps its columns from being dropped or given another type. Before such a migration:
-- DROP SCHEMA ai_dashboards CASCADE; and run this file again afterwards.

-- Nothing of the search path is called here: whoever may create functions, operators or types in one of its schemas
-- could otherwise run them with your rights. It says only where the tables are, and then is the system's own to the end
-- of this statement. So keep it one statement, with the schema of each type.
DO $$
DECLARE
    path CONSTANT pg_catalog.name[] := pg_catalog.current_schemas(false);
    place pg_catalog.name;
    log pg_catalog.regclass;
    stranger pg_catalog.name;
    zone pg_catalog.text;
    users pg_catalog.text;
    columns pg_catalog.text[];
    time_column pg_catalog.text;
    time_type pg_catalog.regtype;
    logged pg_catalog.text;
    instant pg_catalog.text;
    operation pg_catalog.text;
    outcome pg_catalog.text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    zone := coalesce(nullif(current_setting('ai_dashboards.log_time_zone', true), ''), 'UTC');
    users := coalesce(nullif(current_setting('ai_dashboards.users', true), ''), 'id');
    FOREACH place IN ARRAY path LOOP
        log := to_regclass(format('%I.ai_operation_log', place));
        EXIT WHEN log IS NOT NULL;
    END LOOP;
    IF log IS NULL THEN
        RAISE EXCEPTION 'no table ai_operation_log on the search_path'
            USING HINT = 'SET search_path to the schema that holds it, then run this file again.';
    END IF;
    IF row_security_active(log) THEN
        RAISE EXCEPTION 'row-level security hides rows of % from %', log, current_user
            USING HINT = 'Run this file as the owner of the table, a superuser, or a role with BYPASSRLS.';
    END IF;
    CREATE SCHEMA IF NOT EXISTS ai_dashboards;
    SELECT owner.rolname INTO stranger
      FROM pg_namespace JOIN pg_roles AS owner ON owner.oid = nspowner
     WHERE nspname = 'ai_dashboards' AND NOT owner.rolsuper AND owner.rolname <> current_user
       AND owner.oid <> (SELECT relowner FROM pg_class WHERE oid = log);
    -- The owner of a schema can exchange what is in it.
    IF stranger IS NOT NULL THEN
        RAISE EXCEPTION 'the schema ai_dashboards belongs to %, who could change what Grafana reads', stranger
            USING HINT = 'Run this file as that role. If it is not to be trusted, DROP SCHEMA ai_dashboards CASCADE; and run this file again.';
    END IF;
    IF users NOT IN ('id', 'off') THEN
        RAISE EXCEPTION 'ai_dashboards.users is %, where id or off is expected', users;
    END IF;

    SELECT array_agg(attname::text) INTO columns
      FROM pg_attribute WHERE attrelid = log AND attnum > 0 AND NOT attisdropped;
    SELECT attname, atttypid INTO time_column, time_type
      FROM pg_attribute
     WHERE attrelid = log AND attname IN ('created_at', 'executed_at') AND NOT attisdropped
     ORDER BY attname DESC  -- a "status" table that also has a created_at is read by executed_at
     LIMIT 1;
    IF time_column IS NULL OR NOT columns && ARRAY['operation_id', 'operation_type']
       OR NOT columns && ARRAY['success', 'status'] OR NOT columns && ARRAY['model_used', 'model'] THEN
        RAISE EXCEPTION 'the columns of % are of neither layout: %', log, array_to_string(columns, ', ')
            USING HINT = 'Make a view named ai_operation_log with the usual names in a schema of its own, and SET search_path to it.';
    END IF;

    -- `logged_at` is compared with what `logged()` makes of a moment, so that an index on it serves; `at` is computed with.
    IF time_type = 'timestamptz'::regtype THEN
        logged := format('%I', time_column);
        instant := format('%I', time_column);
    ELSIF zone = 'UTC' THEN
        logged := format('%I', time_column);
        instant := format('(%I AT TIME ZONE ''UTC'')', time_column);
    ELSE
        logged := format('(%I AT TIME ZONE %L)', time_column, zone);
        instant := logged;
    END IF;
    SELECT 'coalesce(' || string_agg(format('nullif(%I::text, '''')', name), ', ' ORDER BY name) || ', ''unknown'')'
      INTO operation
      FROM unnest(columns) AS name WHERE name IN ('operation_id', 'operation_type');
    outcome := CASE WHEN 'status' = ANY (columns)
        THEN 'CASE status::text WHEN ''success'' THEN ''ok'' WHEN ''failed'' THEN ''failed'' WHEN ''timeout'' THEN ''timeout'''
             ' WHEN ''pending'' THEN ''pending'' WHEN ''running'' THEN ''running'' ELSE ''unknown'' END'
        ELSE 'CASE WHEN success THEN ''ok'' WHEN NOT success THEN ''failed'' ELSE ''unknown'' END' END;

    DROP VIEW IF EXISTS ai_dashboards.operations;
    EXECUTE format(
        'CREATE VIEW ai_dashboards.operations AS SELECT %s AS logged_at, %s AS at, left(%s, 128) AS operation,'
        ' left(coalesce(nullif(%I::text, ''''), ''unknown''), 128) AS model, %s AS "user", %s AS outcome,'
        -- what the exporter does not count either: NaN, negative, beyond all reason
        ' CASE WHEN input_tokens::numeric BETWEEN 0 AND 1000000000 THEN input_tokens::bigint END AS input_tokens,'
        ' CASE WHEN output_tokens::numeric BETWEEN 0 AND 1000000000 THEN output_tokens::bigint END AS output_tokens,'
        ' CASE WHEN cost_usd::numeric BETWEEN 0 AND 1000000 THEN cost_usd::numeric END AS cost_usd,'
        ' CASE WHEN latency_ms::numeric BETWEEN 0 AND 86400000 THEN latency_ms::numeric / 1000 END AS latency_seconds,'
        ' left(error_message, 500) AS error_message FROM %s',
        logged, instant, operation, CASE WHEN 'model_used' = ANY (columns) THEN 'model_used' ELSE 'model' END,
        CASE users WHEN 'off' THEN '''hidden''::text' ELSE 'coalesce(user_id::text, ''unattributed'')' END, outcome, log);

    DROP FUNCTION IF EXISTS ai_dashboards.logged(timestamptz);
    IF time_type = 'timestamptz'::regtype OR zone <> 'UTC' THEN
        CREATE FUNCTION ai_dashboards.logged(moment timestamptz) RETURNS timestamptz
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT moment';
    ELSE
        CREATE FUNCTION ai_dashboards.logged(moment timestamptz) RETURNS timestamp
            LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT moment AT TIME ZONE ''UTC''';
    END IF;

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ai_grafana') THEN
        CREATE ROLE ai_grafana LOGIN;
    END IF;

    ALTER ROLE ai_grafana LOGIN;
    ALTER ROLE ai_grafana SET default_transaction_read_only = on;
    ALTER ROLE ai_grafana SET statement_timeout = '30s';
    ALTER ROLE ai_grafana SET idle_in_transaction_session_timeout = '60s';
    ALTER ROLE ai_grafana SET timezone = 'UTC';
    -- The panels' queries call only what the system has.
    ALTER ROLE ai_grafana SET search_path = pg_catalog, pg_temp;

    REVOKE ALL ON ALL TABLES IN SCHEMA ai_dashboards FROM ai_grafana;
    GRANT USAGE ON SCHEMA ai_dashboards TO ai_grafana;
    GRANT SELECT ON ai_dashboards.operations TO ai_grafana;
END
$$;
