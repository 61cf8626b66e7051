-- A role for postgres_exporter (connections, cache hit rates): statistics of the server, and no table of yours.
--
-- Needs CREATEROLE, and pg_monitor with ADMIN OPTION (a superuser has it; hosted databases often grant it).
-- Run it as often as you like. The password is not in here: give the role one with psql's
-- \password ai_postgres_exporter, or ALTER ROLE ai_postgres_exporter PASSWORD '...';

-- Nothing of the search path is called here: whoever may create functions, operators or types in one of its schemas
-- could otherwise run them with your rights. It is the system's own to the end of this
-- statement, so keep it one statement; and for the role for good.
DO $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ai_postgres_exporter') THEN
        CREATE ROLE ai_postgres_exporter LOGIN;
    END IF;
    ALTER ROLE ai_postgres_exporter LOGIN CONNECTION LIMIT 5;
    ALTER ROLE ai_postgres_exporter SET default_transaction_read_only = on;
    ALTER ROLE ai_postgres_exporter SET search_path = pg_catalog, pg_temp;
    ALTER ROLE ai_postgres_exporter SET statement_timeout = '10s';
    GRANT pg_monitor TO ai_postgres_exporter;
END
$$;
