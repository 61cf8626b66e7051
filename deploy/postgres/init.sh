#!/bin/sh
# Run once by the demo's PostgreSQL: the tables with row-level security on, and the roles as a team would have them.
set -eu

database() { psql --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" "$@"; }

# the password in postgresql://user:password@…; make-secrets.sh writes only letters and digits
password_in() { sed -n 's|^[a-z]*://[^:]*:\([^@]*\)@.*|\1|p' "/run/secrets/$1"; }

# The application owns its tables.
database --set=database="$POSTGRES_DB" --set=password="$(password_in demo_writer_url)" <<'SQL'
CREATE ROLE app LOGIN PASSWORD :'password';
ALTER DATABASE :"database" OWNER TO app;
SQL
database --command='SET ROLE app' --file=/sql-demo/schema.sql

# The files of LiteLLM's table are in a folder of their own. It needs no further indexes.
case $DEMO_LAYOUT in
  litellm) sql=/sql/litellm ;;
  *)
    sql=/sql
    database --file=/sql/indexes.sql
    ;;
esac
database --file="$sql/role_policies.sql"
database --file="$sql/role_postgres_exporter.sql"
database --file="$sql/dashboards.sql"

database --set=exporter="$(password_in database_url)" \
  --set=grafana="$(cat /run/secrets/grafana_database_password)" \
  --set=postgres_exporter="$(cat /run/secrets/postgres_exporter_password)" <<'SQL'
ALTER ROLE ai_exporter PASSWORD :'exporter';
ALTER ROLE ai_grafana LOGIN PASSWORD :'grafana';
ALTER ROLE ai_postgres_exporter PASSWORD :'postgres_exporter';
SQL
