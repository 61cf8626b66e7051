-- A role for `recommend --store`, which may add rows to the table of recommendations, and nothing else: it changes and
-- deletes none, and it cannot write the status, so that each new row is what the table's own default makes of it:
-- pending. It reads the columns that tell whether a recommendation is there already. No other command uses it.
--
-- Needs CREATEROLE and the ownership of the table. Run it as often as you like. The password is not in here: give the
-- role one with psql's \password ai_recommender (it sends only the hash), or ALTER ROLE ai_recommender PASSWORD '...';
-- Run it in the database that holds the tables: psql -v ON_ERROR_STOP=1 -f deploy/sql/role_recommendations.sql
-- A table outside the search_path: SET search_path first.

-- Nothing of the search path is called here: whoever may create functions, operators or types in one of its schemas
-- could otherwise run them with your rights. It says only where the table is, and then is the system's own to the end
-- of this statement. So keep it one statement, with the schema of each type.
DO $$
DECLARE
    path CONSTANT pg_catalog.name[] := {{path}};
    wanted_schema CONSTANT pg_catalog.name := {{schema}};
    wanted_table CONSTANT pg_catalog.text := {{table}};
    -- what is compared, and what is written, in every spelling that is known
    compared CONSTANT pg_catalog.name[] := {{compared}};
    written CONSTANT pg_catalog.name[] := {{written}};
    found pg_catalog.regclass;
    place pg_catalog.name;
    reads pg_catalog.text;
    writes pg_catalog.text;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    FOREACH place IN ARRAY CASE WHEN wanted_schema IS NULL THEN path ELSE ARRAY[wanted_schema] END LOOP
        found := to_regclass(format('%I.%I', place, wanted_table));
        EXIT WHEN found IS NOT NULL;
    END LOOP;
    IF found IS NULL THEN
        RAISE EXCEPTION 'no table % on the search_path', wanted_table
            USING HINT = 'SET search_path to the schema that holds it, then run this file again.';
    END IF;
    SELECT string_agg(quote_ident(attname), ', ') FILTER (WHERE attname = ANY (compared)),
           string_agg(quote_ident(attname), ', ') FILTER (WHERE attname = ANY (written))
      INTO reads, writes
      FROM pg_attribute
     WHERE attrelid = found AND attnum > 0 AND NOT attisdropped;
    IF reads IS NULL OR writes IS NULL THEN
        RAISE EXCEPTION 'table % has none of the columns that are known', found
            USING HINT = 'Name them in the configuration (columns.recommendations), and build this file with it.';
    END IF;

    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ai_recommender') THEN
        CREATE ROLE ai_recommender LOGIN;
    END IF;
    ALTER ROLE ai_recommender LOGIN CONNECTION LIMIT 4;
    ALTER ROLE ai_recommender SET statement_timeout = '60s';
    ALTER ROLE ai_recommender SET idle_in_transaction_session_timeout = '120s';
    EXECUTE format('ALTER ROLE ai_recommender SET search_path = pg_catalog, %s, pg_temp', quote_ident(place));

    EXECUTE format('GRANT USAGE ON SCHEMA %I TO ai_recommender', place);
    EXECUTE format('REVOKE ALL ON %s FROM ai_recommender', found);
    EXECUTE format('GRANT SELECT (%s), INSERT (%s) ON %s TO ai_recommender', reads, writes, found);
    -- Row-level security stays as it is; where it is on, these let the role see what is open, and add rows.
    IF EXISTS (SELECT FROM pg_class WHERE oid = found AND relkind IN ('r', 'p')) THEN
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = found AND polname = 'ai_recommender_reads') THEN
            EXECUTE format('CREATE POLICY ai_recommender_reads ON %s FOR SELECT TO ai_recommender USING (true)', found);
        END IF;
        IF NOT EXISTS (SELECT FROM pg_policy WHERE polrelid = found AND polname = 'ai_recommender_writes') THEN
            EXECUTE format('CREATE POLICY ai_recommender_writes ON %s FOR INSERT TO ai_recommender WITH CHECK (true)', found);
        END IF;
    END IF;
END
$$;
