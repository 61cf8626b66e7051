-- Removes what the other files of this folder have made, except for the indexes: the four roles with all their
-- grants, the policies of the exporter's role and of the one that writes recommendations, and the schema that Grafana
-- reads. It changes no row and no table: recommendations that were written stay.
--
-- Stop the exporter, Grafana and postgres_exporter first. Run it in the database that holds the tables, as whoever ran
-- the other files, or as a superuser: psql -v ON_ERROR_STOP=1 -f deploy/sql/uninstall.sql
-- Run it as often as you like. Either all of it is done, or an error says what is in the way.
--
-- The indexes of indexes.sql may serve your application by now. To drop them, too:
--   DROP INDEX CONCURRENTLY ai_operation_log_user_time_idx, each outside a transaction; likewise
--   ai_operation_log_model_time_idx, helix_recommendations_open_idx (of earlier versions:
--   helix_recommendations_type_status_idx) and approval_gates_status_idx.

-- Nothing of the search path is called here: whoever may create functions, operators or types in one of its schemas
-- could otherwise run them with your rights. So keep it one statement.
DO $$
DECLARE
    policy pg_catalog.record;
    holder pg_catalog.name;
    granted pg_catalog.record;
    elsewhere pg_catalog.text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    DROP SCHEMA IF EXISTS ai_dashboards CASCADE;
    FOR policy IN SELECT polrelid::regclass AS relation, polname AS name FROM pg_policy
                   WHERE polname IN ('ai_exporter_reads', 'ai_recommender_reads', 'ai_recommender_writes') LOOP
        EXECUTE format('DROP POLICY %I ON %s', policy.name, policy.relation);
    END LOOP;
    FOREACH holder IN ARRAY ARRAY['ai_exporter', 'ai_grafana', 'ai_postgres_exporter', 'ai_recommender'] LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM pg_roles WHERE rolname = holder);
        SELECT string_agg(DISTINCT datname, ', ') INTO elsewhere
          FROM pg_shdepend JOIN pg_database ON pg_database.oid = dbid
         WHERE refclassid = 'pg_authid'::regclass AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = holder)
           AND datname <> current_database();
        IF elsewhere IS NOT NULL THEN
            RAISE EXCEPTION '% also has rights in another database: %', holder, elsewhere
                USING HINT = 'Run this file there, too. The role goes with the last one: until then, remove its rights here by hand.';
        END IF;
        -- Not DROP OWNED BY: the role that made another one is not always a member of it. What belongs to the whole
        -- server, such as the rights on the database itself, has no database in pg_shdepend.
        FOR granted IN SELECT DISTINCT object.type, object.identity
                   FROM pg_shdepend, pg_identify_object(classid, objid, 0) AS object
                  WHERE refclassid = 'pg_authid'::regclass AND deptype = 'a'
                    AND refobjid = (SELECT oid FROM pg_roles WHERE rolname = holder)
                    AND dbid IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) LOOP
            EXECUTE format('REVOKE ALL ON %s %s FROM %I',
                           CASE
                               WHEN granted.type IN ('function', 'procedure', 'aggregate') THEN 'ROUTINE'
                               WHEN granted.type IN ('table', 'view', 'materialized view', 'foreign table',
                                                              'sequence') THEN 'TABLE'
                               WHEN granted.type = 'server' THEN 'FOREIGN SERVER'
                               ELSE replace(granted.type, 'foreign-data', 'foreign data')
                           END,
                           granted.identity, holder);
        END LOOP;
        EXECUTE format('DROP ROLE %I', holder);
    END LOOP;
END
$$;
