#!/bin/sh
# Makes the files of secrets/ that docker-compose.yml reads. Never changes one that is there.
#
#   deploy/make-secrets.sh         random passwords, and says which files you have to write yourself,
#                                  those that still hold what the demo wrote among them
#   deploy/make-secrets.sh demo    all of them, for docker compose --profile demo
#
# SECRETS_DIR, here or in .env, names another folder; a relative one is taken from the project's own folder.
set -eu
mode=${1:-}
case $mode in
  demo | '') ;;
  *)
    echo "usage: $0 [demo]" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."

# As Docker Compose reads .env: with or without `export`, quotes, blanks, a comment and the line ends of Windows.
of_env() {
  tr -d '\r' <.env | sed -n 's/^[[:blank:]]*\(export[[:blank:]]*\)\{0,1\}SECRETS_DIR[[:blank:]]*=[[:blank:]]*//p' | tail -n 1 |
    sed -e "s/^'\([^']*\)'.*/\1/;t" -e 's/^"\([^"]*\)".*/\1/;t' -e 's/[[:blank:]]#.*//;s/[[:blank:]]*$//'
}
folder=${SECRETS_DIR:-$([ ! -e .env ] || of_env)}
folder=${folder:-secrets}
case $folder in
  -*) folder=./$folder ;;
esac

# Users inside the containers must read the files; the folder's own mode keeps out the users of this machine. A folder
# that holds other things is left as it is: it may be the project's own, or one that others work in.
umask 022
if ls -A "$folder" 2>/dev/null | grep -qvxE '\.demo|\.gitignore|[a-z_]+_(password|url)'; then
  case $(ls -ld "$folder/") in
    d???------*) ;;
    *)
      echo "$folder holds other things and is open to others: name a folder of its own, or run chmod 700 on it" >&2
      exit 1
      ;;
  esac
fi
mkdir -p "$folder"
chmod 700 "$folder"
[ -e "$folder/.gitignore" ] || echo '*' >"$folder/.gitignore"

random() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

write() { # FILE TEXT
  if [ ! -e "$folder/$1" ]; then
    printf '%s' "$2" >"$folder/$1"
    [ "${mode:-}" != demo ] || echo "$1 $(sum "$1")" >>"$folder/.demo"
  fi
}

ask() { # FILE WHAT
  if [ ! -e "$folder/$1" ]; then
    printf 'write %s/%s: %s\n' "$folder" "$1" "$2"
  elif is_the_demos "$1"; then
    printf "write %s/%s, which still holds the demo's value: %s\n" "$folder" "$1" "$2"
  fi
}

sum() { cksum <"$folder/$1"; }

# What the demo wrote is known by its checksum, or by the demo's host names where an earlier version wrote it.
is_the_demos() { # FILE
  grep -qsxF "$1 $(sum "$1")" "$folder/.demo" ||
    grep -qE '@postgres:5432/demo|//discord-receiver:' "$folder/$1"
}

write grafana_admin_password "$(random)"
case $mode in
  demo)
    write postgres_password "$(random)"
    write grafana_database_password "$(random)"
    write postgres_exporter_password "$(random)"
    write database_url "postgresql://ai_exporter:$(random)@postgres:5432/demo"
    write demo_writer_url "postgresql://app:$(random)@postgres:5432/demo"
    write discord_webhook_url "http://discord-receiver:9094/api/webhooks/1/demo"
    ;;
  '')
    ask database_url 'postgresql://ai_exporter:PASSWORD@HOST:5432/DATABASE?sslmode=require'
    ask grafana_database_password 'the password of the role ai_grafana (deploy/sql/dashboards.sql)'
    ask postgres_exporter_password 'the password of the role ai_postgres_exporter (deploy/sql/role_postgres_exporter.sql)'
    ask discord_webhook_url "the channel's webhook: Discord, Edit Channel, Integrations, Webhooks, Copy Webhook URL"
    ;;
esac
