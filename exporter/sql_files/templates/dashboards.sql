-- What the dashboards read of single calls, and a role for Grafana that reads this and nothing else.
--
-- The view `operations` hides in what the two layouts of the log differ, and leaves out prompts and answers. `spending`
-- has the costs with the names as they are logged: for sums of many days, whose labels the functions beside it make.
-- The function `user_name` says what a user is called, by `users.names` of the configuration.
-- `budgets` is for the runbooks, not for Grafana: the users' limits. The views are read with the
-- rights of whoever runs this file, who must therefore see every row: a superuser, the tables' owner, or a role with
-- BYPASSRLS; the latter two also need CREATEROLE and CREATE on the database. Grafana's role may read no table at all.
-- Run it as often as you like: psql -v ON_ERROR_STOP=1 -f deploy/sql/dashboards.sql
-- Tables outside the search_path: SET search_path first. The password is not in here: give the role one with psql's
-- \password ai_grafana (it sends only the hash), or ALTER ROLE ai_grafana PASSWORD '...';
--
-- Operations, models and users have the exporter's own labels. Where your configuration has aliases of models, or names
-- tables or columns, generate the file from it:
--   ai-operation-exporter sql dashboards --config config.yaml > dashboards.sql
--
-- Two settings, to be made before in the same session where the defaults do not fit:
--   SET ai_dashboards.log_time_zone = 'Europe/Berlin';  -- what a timestamp without zone means; {{zone_name}} when not set
--   SET ai_dashboards.users = 'off';                    -- users are shown as "hidden"; {{users_shown}} when not set
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
    path CONSTANT pg_catalog.name[] := {{path}};
    log_schema CONSTANT pg_catalog.name := {{log_schema}};
    budget_schema CONSTANT pg_catalog.name := {{budget_schema}};
    budget_table CONSTANT pg_catalog.text := {{budget_table}};
    -- What the columns may be called, by their role; the first name that is there counts.
    log_names CONSTANT pg_catalog.jsonb := {{log_names}};
    budget_names CONSTANT pg_catalog.jsonb := {{budget_names}};
    required CONSTANT pg_catalog.text[] := {{required}};
    per_second CONSTANT pg_catalog.int8 := {{per_second}};  -- what the time counts since 1970; NULL for a timestamp
    user_label CONSTANT pg_catalog.text := {{user_label}};
    aliases CONSTANT pg_catalog.jsonb := {{aliases}};
    -- Where users' names are: the table, its key, and the name as an expression.
    names_schema CONSTANT pg_catalog.name := {{names_schema}};
    names_table CONSTANT pg_catalog.text := {{names_table}};
    names_key CONSTANT pg_catalog.text := {{names_key}};
    names_form CONSTANT pg_catalog.text := {{names_form}};
    -- The characters that a label has as blanks, and those that it does not begin or end with, in UTF-8.
    break_codes CONSTANT pg_catalog.text :=
        {{breaks}};
    unseen_codes CONSTANT pg_catalog.text :=
        {{unseen}};
    breaks pg_catalog.text := '';
    unseen pg_catalog.text := '';
    code pg_catalog.text;
    is_break pg_catalog.bool;
    place pg_catalog.name;
    log pg_catalog.regclass;
    source pg_catalog.regclass;  -- what the views read: the log, or a view of its calls
    budgets pg_catalog.regclass;
    people pg_catalog.regclass;
    relation pg_catalog.regclass;
    stranger pg_catalog.name;
    zone pg_catalog.text;
    users pg_catalog.text;
    found pg_catalog.jsonb;
    budget pg_catalog.jsonb;
    logged pg_catalog.text;
    instant pg_catalog.text;
    counted pg_catalog.text;
    lost pg_catalog.text;
    cleaned pg_catalog.text;
    label pg_catalog.text;
    operation pg_catalog.text;
    model pg_catalog.text;
    outcome pg_catalog.text;
    shown_user pg_catalog.text;
    called pg_catalog.text;
    chosen pg_catalog.text;
    named_columns pg_catalog.text;
    named_types pg_catalog.text;
    old pg_catalog.regprocedure;
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    zone := coalesce(nullif(current_setting('ai_dashboards.log_time_zone', true), ''), {{zone}});
    users := coalesce(nullif(current_setting('ai_dashboards.users', true), ''), {{users}});
    FOREACH place IN ARRAY path LOOP
        IF place = coalesce(log_schema, place) THEN
            log := coalesce(log, to_regclass(format('%I.%I', place, {{log_table}})));
        END IF;
        IF budget_table IS NOT NULL AND place = coalesce(budget_schema, place) THEN
            budgets := coalesce(budgets, to_regclass(format('%I.%I', place, budget_table)));
        END IF;
        IF names_table IS NOT NULL AND place = coalesce(names_schema, place) THEN
            people := coalesce(people, to_regclass(format('%I.%I', place, names_table)));
        END IF;
    END LOOP;
    IF log IS NULL THEN
        RAISE EXCEPTION 'no table % on the search_path', {{log_table}}
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

    DROP VIEW IF EXISTS ai_dashboards.operations, ai_dashboards.spending, ai_dashboards.calls;
{{source}}

    -- The column of each role, as text and as a number; of a domain the type beneath it counts.
    FOREACH relation IN ARRAY ARRAY[source, budgets] LOOP
        WITH RECURSIVE typed AS (
            SELECT attname, atttypid AS type FROM pg_attribute
             WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
            UNION ALL
            SELECT attname, typbasetype FROM typed JOIN pg_type ON oid = type WHERE typtype = 'd'
        ), chosen AS (
            SELECT DISTINCT ON (role) role, attname::text AS name, type::regtype::text AS kind
              FROM jsonb_each(CASE relation WHEN source THEN log_names ELSE budget_names END) AS roles (role, names)
             CROSS JOIN jsonb_array_elements_text(names) WITH ORDINALITY AS known (name, number)
              JOIN typed ON attname = known.name
              JOIN pg_type ON oid = type AND typtype <> 'd'
             ORDER BY role, number
        )
        SELECT coalesce(jsonb_object_agg(role, jsonb_build_object(
                   'name', quote_ident(name), 'kind', kind,
                   'text', format({{text_form}}, name),
                   'number', format({{number_form}}, name),
                   -- what is the same to group by: no collation may take two names for one
                   'same', format(CASE WHEN kind IN ('text', 'character varying') THEN '(%I COLLATE "C")'
                                       WHEN kind IN ('uuid', 'bigint', 'integer') THEN '%I'
                                       ELSE '(left(' || {{text_form}} || ', {{read_length}}) COLLATE "C")' END, name),
                   'type', CASE WHEN kind IN ('uuid', 'bigint', 'integer') THEN kind ELSE 'text' END)), '{}')
          INTO budget FROM chosen;
        found := coalesce(found, budget{{lacking}});  -- the log comes first
    END LOOP;
    IF EXISTS (SELECT FROM unnest(required) AS role WHERE NOT found ? role)
       OR NOT (found ? 'operation' OR found ? 'operation_type') OR NOT (found ? 'success' OR found ? 'status') THEN
        RAISE EXCEPTION 'the columns of % are of neither layout: %', log,
            (SELECT string_agg(attname, ', ' ORDER BY attnum) FROM pg_attribute
              WHERE attrelid = log AND attnum > 0 AND NOT attisdropped)
            USING HINT = 'Make a view named ai_operation_log with the usual names in a schema of its own, and SET search_path to it.';
    END IF;

    -- `logged_at` is compared with what `logged()` makes of a moment, so that an index on it serves; `at` is computed with.
    logged := found -> 'time' ->> 'name';
    IF per_second IS NOT NULL THEN
        instant := format('CASE WHEN %1$s BETWEEN -%2$s AND %2$s THEN to_timestamp(%1$s::float8 / %3$s) END',
                          logged, {{far}} * per_second, per_second);
        counted := found -> 'time' ->> 'kind';
        counted := CASE WHEN counted IN ('smallint', 'integer', 'bigint') THEN 'bigint' ELSE counted END;
    ELSIF found -> 'time' ->> 'kind' = 'timestamp with time zone' THEN
        instant := logged;
    ELSIF zone = 'UTC' THEN
        instant := format('(%s AT TIME ZONE ''UTC'')', logged);
    ELSE
        logged := format('(%s AT TIME ZONE %L)', logged, zone);
        instant := logged;
    END IF;

    -- A label, made of an expression (%1$s) as the exporter makes it. A database's encoding may lack some of these
    -- characters; one that does not know its encoding compares bytes, and has none but ASCII's.
    FOR code, is_break IN
        SELECT each, codes = break_codes
          FROM unnest(ARRAY[break_codes, unseen_codes]) AS lists (codes),
               unnest(string_to_array(codes, ' ')) AS words (each)
         WHERE length(each) = 2 OR getdatabaseencoding() <> 'SQL_ASCII'
    LOOP
        BEGIN
            code := convert_from(decode(code, 'hex'), 'UTF8');
        EXCEPTION WHEN untranslatable_character OR character_not_in_repertoire THEN
            CONTINUE;
        END;
        breaks := breaks || CASE WHEN is_break THEN code ELSE '' END;
        unseen := unseen || CASE WHEN is_break THEN '' ELSE code END;
    END LOOP;
    cleaned := 'nullif(rtrim(left(btrim(translate(%1$s, ' || quote_literal(breaks) || ', '
        || quote_literal(repeat(' ', length(breaks))) || '), ' || quote_literal(unseen) || '), {{label_length}}), '
        || quote_literal(unseen) || '), '''')';
    -- Nearly all names need no cleaning. To see that first takes a tenth of the time.
    label := 'CASE WHEN %1$s ~ ''^[!-~]([ -~]*[!-~])?$'' AND length(%1$s) <= {{label_length}} THEN %2$s ELSE %3$s END';

    SELECT 'coalesce(' || string_agg(format(label, name, name, format(cleaned, name)), ', ' ORDER BY name)
        || ', ''{{unknown}}'')'
      INTO operation
      FROM unnest(ARRAY['operation', 'operation_type']) AS role, concat('l.', role) AS name WHERE found ? role;
    model := CASE aliases WHEN '{}' THEN '%1$s'
        ELSE 'coalesce(' || replace(quote_literal(aliases), '%', '%%') || '::jsonb ->> %1$s, %1$s)' END;
    model := format(label, 'l.model', format(model, 'l.model'),
                    format(model, format('coalesce(%s, ''{{unknown}}'')', format(cleaned, 'l.model'))));
    shown_user := CASE users WHEN 'off' THEN '''hidden''::text'
        ELSE format(label, 'l."user"', format(user_label, 'l."user"'), format(user_label, format(cleaned, 'l."user"')))
        END;
    outcome := CASE WHEN found ? 'status'
        THEN {{by_status}}
        ELSE 'CASE WHEN l.success THEN ''ok'' WHEN NOT l.success THEN ''failed'' ELSE ''unknown'' END' END;

    -- Sums of many days: the label of a name is made once for each name, and not for each row.
    FOR old IN SELECT oid::regprocedure FROM pg_proc
                WHERE pronamespace = 'ai_dashboards'::regnamespace
                  AND proname IN ('operation_label', 'model_label', 'user_label') LOOP
        EXECUTE format('DROP FUNCTION %s', old);
    END LOOP;
    FOR place, named_columns, named_types IN
        SELECT key, string_agg(format('(left($%s::text, {{read_length}}) COLLATE "C") AS %I', number, role), ', '
                               ORDER BY number),
               string_agg(CASE WHEN role = 'user' AND users = 'off' THEN 'text'
                               ELSE coalesce(found -> role ->> 'type', 'text') END, ', ' ORDER BY number)
          FROM jsonb_each('{"operation": ["operation", "operation_type"], "model": ["model"], "user": ["user"]}')
            AS labels (key, roles)
         CROSS JOIN jsonb_array_elements_text(roles) WITH ORDINALITY AS known (role, number)
         GROUP BY key
    LOOP
        EXECUTE format(
            'CREATE FUNCTION ai_dashboards.%I(%s) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE'
            ' SET search_path = pg_catalog, pg_temp AS %L',
            place || '_label', named_types, format(
                'SELECT (%s) COLLATE "default" FROM (SELECT %s) AS l',
                CASE place WHEN 'operation' THEN operation WHEN 'model' THEN model ELSE shown_user END,
                named_columns));
    END LOOP;
    EXECUTE format(
        'CREATE VIEW ai_dashboards.spending AS SELECT l.logged_at, l.operation, l.operation_type, l.model, l."user",'
        ' CASE WHEN l.cost BETWEEN -{{most_cost}} AND {{most_cost}} THEN %s END AS cost_usd'
        ' FROM (SELECT %s AS logged_at, %s AS cost, %s FROM %s) AS l',
        -- what has no more decimal places needs no rounding
        CASE WHEN EXISTS (SELECT FROM pg_attribute
                           WHERE attrelid = source AND quote_ident(attname) = found -> 'cost' ->> 'name'
                             AND atttypid = 'numeric'::regtype AND atttypmod > 3
                             AND (atttypmod - 4) % 65536 <= {{decimals}})
            THEN 'l.cost' ELSE 'round(l.cost, {{decimals}})' END,
        logged, found -> 'cost' ->> 'number',
        (SELECT string_agg(format('%s AS %I', CASE WHEN role = 'user' AND users = 'off' THEN '''hidden''::text'
                                                   ELSE coalesce(found -> role ->> 'same', 'NULL::text') END, role), ', ')
           FROM unnest(ARRAY['operation', 'operation_type', 'model', 'user']) AS role),
        source);

    EXECUTE format(
        'CREATE VIEW ai_dashboards.operations AS SELECT l.logged_at, l.at, (%s) COLLATE "default" AS operation,'
        ' (%s) COLLATE "default" AS model, (%s) COLLATE "default" AS "user", %s%s AS outcome,'
        -- what the exporter does not count either: NaN, negative but for a refund, beyond all reason
        ' CASE WHEN l.input_tokens BETWEEN 0 AND {{most_input_tokens}} THEN l.input_tokens::bigint END AS input_tokens,'
        ' CASE WHEN l.output_tokens BETWEEN 0 AND {{most_output_tokens}} THEN l.output_tokens::bigint END AS output_tokens,'
        ' CASE WHEN l.cost BETWEEN -{{most_cost}} AND {{most_cost}} THEN round(l.cost, {{decimals}}) END AS cost_usd,'
        ' CASE WHEN l.latency BETWEEN 0 AND {{most_latency}} THEN l.latency / 1000 END AS latency_seconds,'
        ' l.error_message FROM (SELECT %s AS logged_at, %s AS at, %s FROM %s) AS l',
        operation, model, shown_user,
        CASE WHEN found ? 'group' THEN format('(%s) COLLATE "default" AS "group", ', format(
            label, 'l."group"', format(user_label, 'l."group"'), format(user_label, format(cleaned, 'l."group"'))))
            ELSE '' END,
        outcome, logged, instant,
        -- of a name as much as a label can be made of, and blanks around it
        (SELECT string_agg(format(
                    CASE WHEN role IN ('operation', 'operation_type', 'model', 'user', 'group')
                         THEN '(left(%1$s, {{read_length}}) COLLATE "C") AS %3$I'
                         WHEN role = 'status' THEN '(%1$s COLLATE "C") AS %3$I'
                         WHEN role = 'success' THEN '%4$s AS %3$I'
                         WHEN role = 'error_message' THEN 'left(%1$s, 500) AS %3$I'
                         ELSE '%2$s AS %3$I' END, forms ->> 'text', forms ->> 'number', role, forms ->> 'name'), ', ')
           FROM jsonb_each(found) AS each (role, forms) WHERE role <> 'time'),
        source);

    DROP VIEW IF EXISTS ai_dashboards.budgets;
    IF budgets IS NOT NULL AND row_security_active(budgets) THEN
        RAISE NOTICE 'ai_dashboards.budgets is left out: row-level security hides rows of % from %',
            budgets, current_user;
    ELSIF budget_table IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_class AS b JOIN pg_roles AS owner ON owner.oid = b.relowner
         WHERE b.oid = budgets
           AND (owner.rolsuper OR owner.rolname = current_user
                OR b.relowner = (SELECT relowner FROM pg_class WHERE oid = log))
    ) THEN
        -- A stranger's table may be a view, whose functions would run with the rights of whoever reads it.
        RAISE NOTICE 'ai_dashboards.budgets is left out: no table % of the owner of %', budget_table, log;
    ELSIF budget ? 'user' AND budget ? 'daily_limit' THEN
        -- the limits are columns of the table itself, so that they can be changed through the view
        EXECUTE format(
            'CREATE VIEW ai_dashboards.budgets AS SELECT %s COLLATE "default" AS "user", b.%s AS daily_limit_usd,'
            ' %s AS monthly_limit_usd FROM %s AS b',
            CASE users WHEN 'off' THEN '''hidden''::text'
                ELSE format('(' || user_label || ')', format(
                    cleaned, format('left(b.%s, {{read_length}}) COLLATE "C"', budget -> 'user' ->> 'text'))) END,
            budget -> 'daily_limit' ->> 'name', coalesce('b.' || (budget -> 'monthly_limit' ->> 'name'), 'NULL::numeric'),
            budgets);
    END IF;

    -- What a user is called, by the label; a UUID without a name is cut to eight characters. Like the views, the function
    -- reads with the rights of whoever runs this file.
    DROP FUNCTION IF EXISTS ai_dashboards.user_name(text);
    called := 'CASE WHEN $1 ~* ''^{{uuid}}$'' THEN left($1, 8) ELSE $1 END';
    IF names_table IS NULL OR users = 'off' THEN
        NULL;
    ELSIF people IS NOT NULL AND row_security_active(people) THEN
        RAISE NOTICE 'users are shown by their ids: row-level security hides rows of % from %', people, current_user;
    ELSIF NOT EXISTS (
        SELECT FROM pg_class AS n JOIN pg_roles AS owner ON owner.oid = n.relowner
         WHERE n.oid = people
           AND (owner.rolsuper OR owner.rolname = current_user
                OR n.relowner = (SELECT relowner FROM pg_class WHERE oid = log))
    ) THEN
        -- as with the budgets, a stranger's table may be a view
        RAISE NOTICE 'users are shown by their ids: no table % of the owner of %', names_table, log;
    ELSE
        SELECT format(
                   'coalesce((SELECT CASE WHEN btrim(c.name, ''"'') IN ({{several_users}}) THEN ''"'' || c.name || ''"'''
                   ' ELSE c.name END FROM (SELECT %s AS name FROM (SELECT left(min(to_jsonb(n.name) #>> ''{}''),'
                   ' {{read_length}}) COLLATE "C" AS name FROM (SELECT %I AS key, (%s) AS name FROM %s) AS n'
                   ' WHERE %s) AS u) AS c), %s)',
                   format(cleaned, 'u.name'), names_key, names_form, people,
                   -- the bare key, so that an index serves, where it is compared exactly so
                   CASE WHEN base = 'uuid'::regtype THEN 'n.key = CASE WHEN $1 ~* ''^{{uuid}}$'' THEN $1::uuid END'
                        WHEN base IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype)
                        THEN 'n.key = CASE WHEN $1 ~ ''^-?[0-9]{1,18}$'' THEN $1::bigint END'
                        WHEN base IN ('text'::regtype, 'character varying'::regtype)
                        THEN 'n.key = $1 AND n.key COLLATE "C" = $1'
                        ELSE 'to_jsonb(n.key) #>> ''{}'' = $1' END,
                   called)
          INTO STRICT called
          FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid
         CROSS JOIN LATERAL (SELECT CASE typtype WHEN 'd' THEN typbasetype ELSE atttypid END AS base) AS beneath
         WHERE attrelid = people AND attname = names_key AND NOT attisdropped;
    END IF;
    EXECUTE format(
        'CREATE FUNCTION ai_dashboards.user_name(text) RETURNS text LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER'
        ' SET search_path = pg_catalog, pg_temp AS %L', 'SELECT (' || called || ') COLLATE "default"');

    -- The names that are chosen, which Grafana writes as a regular expression, for conditions that no name has to be
    -- cleaned for. The ids of users, in the log's own type, so that an index serves: NULL where all are chosen, and
    -- where ids are text. And patterns that names have whose labels are chosen: a label's longest part without a blank,
    -- which every spelling has; NULL where any name may have one of the labels.
    DROP FUNCTION IF EXISTS ai_dashboards.user_keys(text);
    DROP FUNCTION IF EXISTS ai_dashboards.patterns(text);
    chosen := 'regexp_matches(CASE WHEN $1 <> ''.+'' THEN $1 END, ''((?:\\.|[^\\|()])+)'', ''g'') AS each (part),'
        ' regexp_replace(part[1], ''\\(.)'', ''\1'', ''g'') AS label';
    SELECT CASE WHEN kind IN ('integer', 'bigint') THEN 'bigint' WHEN kind = 'uuid' THEN kind ELSE 'text' END INTO called
      FROM (SELECT CASE WHEN users <> 'off' THEN found -> 'user' ->> 'type' END AS kind) AS of_user;
    EXECUTE format(
        'CREATE FUNCTION ai_dashboards.user_keys(text) RETURNS %s[] LANGUAGE sql IMMUTABLE PARALLEL SAFE'
        ' SET search_path = pg_catalog, pg_temp AS %L', called,
        CASE called WHEN 'text' THEN 'SELECT NULL::text[]'
            ELSE format('SELECT CASE WHEN $1 <> ''.+'' THEN ARRAY(SELECT label::%s FROM %s WHERE label ~* ''^%s$'') END',
                called, chosen, CASE called WHEN 'uuid' THEN '{{uuid}}' ELSE '-?[0-9]{1,18}' END) END);
    EXECUTE format(
        'CREATE FUNCTION ai_dashboards.patterns(text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE'
        ' SET search_path = pg_catalog, pg_temp AS %L', format(
            'SELECT CASE WHEN bool_and(longest <> '''' AND label NOT IN (''{{unknown}}'', ''{{unattributed}}'', ''hidden''))'
            ' AND count(*) <= 20 THEN array_agg(''%%'' || regexp_replace(longest, ''([\\%%_])'', ''\\\1'', ''g'') || ''%%'')'
            ' END FROM (SELECT label, (SELECT word FROM regexp_split_to_table(btrim(name, ''"''), '' '') AS word'
            ' ORDER BY length(word) DESC LIMIT 1) AS longest FROM %s, LATERAL (SELECT label UNION ALL SELECT key'
            ' FROM jsonb_each_text(%L) AS alias (key, value) WHERE value = label) AS spelled (name)) AS parts',
            chosen, aliases));

    DROP FUNCTION IF EXISTS ai_dashboards.logged(timestamptz);
    IF per_second IS NOT NULL THEN
        -- the first whole number that is not before the moment, so that a column of whole numbers is compared as it is
        EXECUTE format('CREATE FUNCTION ai_dashboards.logged(moment timestamptz) RETURNS %1$s'
                       ' LANGUAGE sql IMMUTABLE PARALLEL SAFE AS %2$L', counted, format(
                           CASE counted WHEN 'bigint' THEN 'SELECT ceil(%1$s * %2$s)::%3$s' ELSE 'SELECT (%1$s * %2$s)::%3$s' END,
                           'extract(epoch FROM moment AT TIME ZONE ''UTC'')', per_second, counted));
    ELSIF found -> 'time' ->> 'kind' = 'timestamp with time zone' OR zone <> 'UTC' THEN
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
    ALTER ROLE ai_grafana SET timezone = 'UTC';{{role_forms}}
    -- The panels' queries call only what the system has.
    ALTER ROLE ai_grafana SET search_path = pg_catalog, pg_temp;

    REVOKE ALL ON ALL TABLES IN SCHEMA ai_dashboards FROM ai_grafana;
    GRANT USAGE ON SCHEMA ai_dashboards TO ai_grafana;
    GRANT SELECT ON ai_dashboards.operations, ai_dashboards.spending TO ai_grafana;
    REVOKE ALL ON FUNCTION ai_dashboards.user_name(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION ai_dashboards.user_name(text) TO ai_grafana;
END
$$;
