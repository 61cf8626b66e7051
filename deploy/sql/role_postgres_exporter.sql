-- A role for postgres_exporter (connections, cache hit rates): statistics of the server, and no table of yours.
--
-- Needs CREATEROLE, and pg_monitor with ADMIN OPTION (a superuser has it; hosted databases often grant it).
-- Run it as often as you like. The password is not in here: give the role one with psql's
-- \password ai_postgres_exporter, or ALTER ROLE ai_postgres_exporter PASSWORD '...';

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'ai_postgres_exporter') THEN
        CREATE ROLE ai_postgres_exporter LOGIN;
    END IF;
END
$$;

ALTER ROLE ai_postgres_exporter LOGIN CONNECTION LIMIT 5;
ALTER ROLE ai_postgres_exporter SET default_transaction_read_only = on;
ALTER ROLE ai_postgres_exporter SET statement_timeout = '10s';
GRANT pg_monitor TO ai_postgres_exporter;
