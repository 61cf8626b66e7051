{{about}}
-- Works for both layouts of the tables; run it as often as you like. The password is not in here: give the role
-- one with psql's \password ai_exporter (it sends only the hash), or ALTER ROLE ai_exporter PASSWORD '...';
-- Run it in the database that holds the tables: psql -v ON_ERROR_STOP=1 -f deploy/sql/{{file}}
-- Tables outside the search_path: SET search_path first.

-- Nothing of the search path is called here: whoever may create functions, operators or types in one of its schemas
-- could otherwise run them with your rights. It says only where the tables are, and then is the system's own to the end
-- of this statement. So keep it one statement, with the schema of each type.
DO $$
DECLARE
    path CONSTANT pg_catalog.name[] := {{path}};
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

    -- Not everyone who may create roles may change a role that another admin has created: the error says who can.
    DECLARE
        who pg_catalog.text;
    BEGIN
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ai_exporter') THEN
            CREATE ROLE ai_exporter LOGIN;
        END IF;
        ALTER ROLE ai_exporter LOGIN{{attributes}};
        -- A running exporter has three connections. A limit of ten leaves room for a second replica or a restart that
        -- overlaps, and four for check, verify and the reports, but keeps the application's connections safe.
        ALTER ROLE ai_exporter CONNECTION LIMIT 10;
        -- Backstops: the exporter sets shorter limits of its own.
        ALTER ROLE ai_exporter SET default_transaction_read_only = on;
        ALTER ROLE ai_exporter SET statement_timeout = '60s';
        ALTER ROLE ai_exporter SET idle_in_transaction_session_timeout = '120s';
    EXCEPTION
        WHEN insufficient_privilege THEN
            SELECT string_agg(DISTINCT quote_ident(admin.rolname), ', ') INTO who
              FROM pg_auth_members JOIN pg_roles AS admin ON admin.oid = member
             WHERE admin_option AND roleid = (SELECT oid FROM pg_roles WHERE rolname = 'ai_exporter');
            IF who IS NULL AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ai_exporter') THEN
                RAISE EXCEPTION '% may not create the role ai_exporter: %', quote_ident(current_user), SQLERRM
                    USING ERRCODE = 'insufficient_privilege', HINT = 'Run this file as {{who}}.';
            END IF;
            RAISE EXCEPTION '% may not change the role ai_exporter, which another role has made: %',
                            quote_ident(current_user), SQLERRM
                USING ERRCODE = 'insufficient_privilege',
                      HINT = format('Run this file as %s. Or have one of these run: GRANT ai_exporter TO %I WITH ADMIN OPTION; '
                                    'and run this file again.{{or_else}}', coalesce(who || ' or a superuser', 'a superuser'),
                                    current_user);
    END;

    DECLARE
        -- All that the exporter reads, in every spelling it knows: the schema (null: the first of the path that has the
        -- table), the table, and its columns. What a table does not have is passed over.
        wanted CONSTANT pg_catalog.jsonb := {{wanted}};
        wanted_schema pg_catalog.name;
        wanted_table pg_catalog.text;
        wanted_columns pg_catalog.jsonb;
        found pg_catalog.regclass;
        kind pg_catalog."char";
        columns pg_catalog.text;
        place pg_catalog.name;
        places pg_catalog.name[];
    BEGIN
        FOR wanted_schema, wanted_table, wanted_columns IN
            SELECT each ->> 0, each ->> 1, each -> 2 FROM jsonb_array_elements(wanted) AS each
        LOOP
            found := NULL;
            FOREACH place IN ARRAY CASE WHEN wanted_schema IS NULL THEN path ELSE ARRAY[wanted_schema] END LOOP
                found := to_regclass(format('%I.%I', place, wanted_table));
                EXIT WHEN found IS NOT NULL;
            END LOOP;
            IF found IS NULL AND wanted_table = {{log_table}} THEN
                RAISE EXCEPTION 'no table % on the search_path', wanted_table
                    USING HINT = 'SET search_path to the schema that holds it, then run this file again.';
            END IF;
            CONTINUE WHEN found IS NULL;
            places := places || place;
            SELECT relkind INTO kind FROM pg_class WHERE oid = found;
            -- The transaction that wrote a row, xmin, tells which rows of the log have changed since they were last read.
            SELECT string_agg(quote_ident(attname), ', ') INTO columns
              FROM pg_attribute
             WHERE attrelid = found AND NOT attisdropped
               AND (attnum > 0 AND wanted_columns ? attname
                    OR attname = 'xmin' AND wanted_table = {{log_table}} AND kind = 'r');
            EXECUTE format('GRANT USAGE ON SCHEMA %s TO ai_exporter',
                           (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = found));
            EXECUTE format('REVOKE ALL ON %s FROM ai_exporter', found);
            IF columns IS NOT NULL THEN
                EXECUTE format('GRANT SELECT (%s) ON %s TO ai_exporter', columns, found);
            END IF;{{policy}}
        END LOOP;
        -- A bare name in the exporter's configuration means these tables, whatever others create later.
        EXECUTE format('ALTER ROLE ai_exporter SET search_path = pg_catalog, %s, pg_temp',
                       (SELECT string_agg(quote_ident(schema), ', ' ORDER BY number)
                          FROM unnest(path) WITH ORDINALITY AS each (schema, number) WHERE schema = ANY (places)));
    EXCEPTION
        WHEN insufficient_privilege THEN
            RAISE EXCEPTION '% may not grant ai_exporter what it reads of %: %', quote_ident(current_user), wanted_table, SQLERRM
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Run this file as the owner of the tables and of their schema, or as a superuser.';
    END;
END
$$;
