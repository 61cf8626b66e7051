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
    log_schema CONSTANT pg_catalog.name := NULL;
    budget_schema CONSTANT pg_catalog.name := NULL;
    budget_table CONSTANT pg_catalog.text := NULL;
    -- What the columns may be called, by their role; the first name that is there counts.
    log_names CONSTANT pg_catalog.jsonb := '{
        "time": ["startTime"],
        "operation": ["call_type"],
        "operation_type": ["operation_type"],
        "model": ["=model"],
        "user": ["user"],
        "group": ["team_id"],
        "input_tokens": ["prompt_tokens"],
        "output_tokens": ["completion_tokens"],
        "cost": ["spend"],
        "cached_tokens": ["=cached_tokens"],
        "latency": ["=latency"],
        "time_to_first_token": ["=time_to_first_token"],
        "status": ["=status"],
        "error_message": ["=error_message"]
    }';
    budget_names CONSTANT pg_catalog.jsonb := '{
        "user": ["user_id"],
        "daily_limit": ["daily_limit_usd", "daily_budget_usd"],
        "monthly_limit": ["monthly_limit_usd", "monthly_budget_usd"],
        "warning_threshold": ["warning_threshold_usd", "warning_threshold_percentage"],
        "spent_today": ["current_spend_today", "daily_spent_usd"],
        "spent_month": ["current_spend_month", "monthly_spent_usd"]
    }';
    required CONSTANT pg_catalog.text[] := '{time,model,user,input_tokens,output_tokens,cost,latency,error_message}';
    per_second CONSTANT pg_catalog.int8 := NULL;  -- what the time counts since 1970; NULL for a timestamp
    user_label CONSTANT pg_catalog.text := 'CASE WHEN btrim(%1$s, ''"'') IN (''other'', ''unattributed'') THEN ''"'' || (%1$s) || ''"'' ELSE coalesce(%1$s, ''unattributed'') END';
    aliases CONSTANT pg_catalog.jsonb := '{}';
    -- Where users' names are: the table, its key, and the name as an expression.
    names_schema CONSTANT pg_catalog.name := NULL;
    names_table CONSTANT pg_catalog.text := NULL;
    names_key CONSTANT pg_catalog.text := NULL;
    names_form CONSTANT pg_catalog.text := NULL;
    -- The characters that a label has as blanks, and those that it does not begin or end with, in UTF-8.
    break_codes CONSTANT pg_catalog.text :=
        '01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f 10 11 12 13 14 15 16 17 18 19 1a 1b 1c 1d 1e 1f 7f c280 '
        'c281 c282 c283 c284 c285 c286 c287 c288 c289 c28a c28b c28c c28d c28e c28f c290 c291 c292 c293 c294 '
        'c295 c296 c297 c298 c299 c29a c29b c29c c29d c29e c29f e280a8 e280a9';
    unseen_codes CONSTANT pg_catalog.text :=
        '20 c2a0 e19a80 e28080 e28081 e28082 e28083 e28084 e28085 e28086 e28087 e28088 e28089 e2808a e280af '
        'e2819f e38080 c2ad d880 d881 d882 d883 d884 d885 d89c db9d dc8f e0a290 e0a291 e0a3a2 e1a08e e2808b '
        'e2808c e2808d e2808e e2808f e280aa e280ab e280ac e280ad e280ae e281a0 e281a1 e281a2 e281a3 e281a4 '
        'e281a6 e281a7 e281a8 e281a9 e281aa e281ab e281ac e281ad e281ae e281af efbbbf efbfb9 efbfba efbfbb '
        'f09182bd f091838d f09390b0 f09390b1 f09390b2 f09390b3 f09390b4 f09390b5 f09390b6 f09390b7 f09390b8 '
        'f09390b9 f09390ba f09390bb f09390bc f09390bd f09390be f09390bf f09bb2a0 f09bb2a1 f09bb2a2 f09bb2a3 '
        'f09d85b3 f09d85b4 f09d85b5 f09d85b6 f09d85b7 f09d85b8 f09d85b9 f09d85ba f3a08081 f3a080a0 f3a080a1 '
        'f3a080a2 f3a080a3 f3a080a4 f3a080a5 f3a080a6 f3a080a7 f3a080a8 f3a080a9 f3a080aa f3a080ab f3a080ac '
        'f3a080ad f3a080ae f3a080af f3a080b0 f3a080b1 f3a080b2 f3a080b3 f3a080b4 f3a080b5 f3a080b6 f3a080b7 '
        'f3a080b8 f3a080b9 f3a080ba f3a080bb f3a080bc f3a080bd f3a080be f3a080bf f3a08180 f3a08181 f3a08182 '
        'f3a08183 f3a08184 f3a08185 f3a08186 f3a08187 f3a08188 f3a08189 f3a0818a f3a0818b f3a0818c f3a0818d '
        'f3a0818e f3a0818f f3a08190 f3a08191 f3a08192 f3a08193 f3a08194 f3a08195 f3a08196 f3a08197 f3a08198 '
        'f3a08199 f3a0819a f3a0819b f3a0819c f3a0819d f3a0819e f3a0819f f3a081a0 f3a081a1 f3a081a2 f3a081a3 '
        'f3a081a4 f3a081a5 f3a081a6 f3a081a7 f3a081a8 f3a081a9 f3a081aa f3a081ab f3a081ac f3a081ad f3a081ae '
        'f3a081af f3a081b0 f3a081b1 f3a081b2 f3a081b3 f3a081b4 f3a081b5 f3a081b6 f3a081b7 f3a081b8 f3a081b9 '
        'f3a081ba f3a081bb f3a081bc f3a081bd f3a081be f3a081bf';
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
    zone := coalesce(nullif(current_setting('ai_dashboards.log_time_zone', true), ''), 'UTC');
    users := coalesce(nullif(current_setting('ai_dashboards.users', true), ''), 'id');
    FOREACH place IN ARRAY path LOOP
        IF place = coalesce(log_schema, place) THEN
            log := coalesce(log, to_regclass(format('%I.%I', place, 'LiteLLM_SpendLogs')));
        END IF;
        IF budget_table IS NOT NULL AND place = coalesce(budget_schema, place) THEN
            budgets := coalesce(budgets, to_regclass(format('%I.%I', place, budget_table)));
        END IF;
        IF names_table IS NOT NULL AND place = coalesce(names_schema, place) THEN
            people := coalesce(people, to_regclass(format('%I.%I', place, names_table)));
        END IF;
    END LOOP;
    IF log IS NULL THEN
        RAISE EXCEPTION 'no table % on the search_path', 'LiteLLM_SpendLogs'
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
    -- What the configuration says of the log: which of its rows are calls, and what is computed of their columns.
    SELECT string_agg(name, ', ' ORDER BY name) INTO lost
      FROM unnest(ARRAY['model_group', 'model', 'metadata', 'request_duration_ms', 'endTime', 'startTime', 'completionStartTime', 'status']::text[]) AS name
     WHERE NOT EXISTS (SELECT FROM pg_attribute
                        WHERE attrelid = log AND attname = name AND attnum > 0 AND NOT attisdropped);
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION '% has no columns %', log, lost
            USING HINT = 'Correct columns.log in the configuration, and generate this file from it again.';
    END IF;
    PERFORM pg_catalog.set_config('TimeZone', 'UTC', true), pg_catalog.set_config('DateStyle', 'ISO, MDY', true),
       pg_catalog.set_config('IntervalStyle', 'postgres', true), pg_catalog.set_config('extra_float_digits', '1', true),
       pg_catalog.set_config('bytea_output', 'hex', true), pg_catalog.set_config('lc_time', 'C', true),
       pg_catalog.set_config('lc_numeric', 'C', true), pg_catalog.set_config('lc_monetary', 'C', true);
    EXECUTE concat('CREATE VIEW ai_dashboards.calls AS SELECT ', concat_ws(', ',
        (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
          WHERE attrelid = log AND attnum > 0 AND NOT attisdropped
            AND EXISTS (SELECT FROM jsonb_each(log_names) AS roles (role, names) WHERE names ? attname)),
        '(COALESCE(NULLIF(model_group, ''''), model)) AS "=model", (CASE WHEN jsonb_typeof(metadata #> ''{additional_usage_values,cache_read_input_tokens}'') = ''number'' THEN (metadata #>> ''{additional_usage_values,cache_read_input_tokens}'')::numeric WHEN jsonb_typeof(metadata #> ''{additional_usage_values,prompt_tokens_details,cached_tokens}'') = ''number'' THEN (metadata #>> ''{additional_usage_values,prompt_tokens_details,cached_tokens}'')::numeric END) AS "=cached_tokens", (COALESCE(request_duration_ms, CASE WHEN isfinite("endTime") THEN (extract(epoch FROM "endTime" - "startTime") * 1000)::bigint ELSE -1 END)) AS "=latency", (CASE WHEN isfinite("completionStartTime") AND "completionStartTime" < "endTime" THEN extract(epoch FROM "completionStartTime" - "startTime") * 1000 END) AS "=time_to_first_token", (COALESCE(status, metadata ->> ''status'', ''success'')) AS "=status", (concat_ws('' '', metadata #>> ''{error_information,error_class}'', metadata #>> ''{error_information,error_code}'', metadata #>> ''{error_information,error_message}'')) AS "=error_message"'),
        ' FROM ', log, '');
    source := 'ai_dashboards.calls';

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
                   'text', format(CASE kind WHEN 'jsonb' THEN '(%I OPERATOR(pg_catalog.#>>) ARRAY[]::pg_catalog.text[])' ELSE '%I::pg_catalog.text' END, name),
                   'number', format(CASE kind WHEN 'real' THEN '%I::pg_catalog.text::numeric' ELSE '%I::numeric' END, name),
                   -- what is the same to group by: no collation may take two names for one
                   'same', format(CASE WHEN kind IN ('text', 'character varying') THEN '(%I COLLATE "C")'
                                       WHEN kind IN ('uuid', 'bigint', 'integer') THEN '%I'
                                       ELSE '(left(' || CASE kind WHEN 'jsonb' THEN '(%I OPERATOR(pg_catalog.#>>) ARRAY[]::pg_catalog.text[])' ELSE '%I::pg_catalog.text' END || ', 1024) COLLATE "C")' END, name),
                   'type', CASE WHEN kind IN ('uuid', 'bigint', 'integer') THEN kind ELSE 'text' END)), '{}')
          INTO budget FROM chosen;
        found := coalesce(found, budget);  -- the log comes first
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
                          logged, 100000000000 * per_second, per_second);
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
        || quote_literal(repeat(' ', length(breaks))) || '), ' || quote_literal(unseen) || '), 128), '
        || quote_literal(unseen) || '), '''')';
    -- Nearly all names need no cleaning. To see that first takes a tenth of the time.
    label := 'CASE WHEN %1$s ~ ''^[!-~]([ -~]*[!-~])?$'' AND length(%1$s) <= 128 THEN %2$s ELSE %3$s END';

    SELECT 'coalesce(' || string_agg(format(label, name, name, format(cleaned, name)), ', ' ORDER BY name)
        || ', ''unknown'')'
      INTO operation
      FROM unnest(ARRAY['operation', 'operation_type']) AS role, concat('l.', role) AS name WHERE found ? role;
    model := CASE aliases WHEN '{}' THEN '%1$s'
        ELSE 'coalesce(' || replace(quote_literal(aliases), '%', '%%') || '::jsonb ->> %1$s, %1$s)' END;
    model := format(label, 'l.model', format(model, 'l.model'),
                    format(model, format('coalesce(%s, ''unknown'')', format(cleaned, 'l.model'))));
    shown_user := CASE users WHEN 'off' THEN '''hidden''::text'
        ELSE format(label, 'l."user"', format(user_label, 'l."user"'), format(user_label, format(cleaned, 'l."user"')))
        END;
    outcome := CASE WHEN found ? 'status'
        THEN 'CASE WHEN l.status = ''success'' THEN ''ok''
              WHEN l.status = ''failure'' THEN ''failed''
              ELSE ''unknown'' END'
        ELSE 'CASE WHEN l.success THEN ''ok'' WHEN NOT l.success THEN ''failed'' ELSE ''unknown'' END' END;

    -- Sums of many days: the label of a name is made once for each name, and not for each row.
    FOR old IN SELECT oid::regprocedure FROM pg_proc
                WHERE pronamespace = 'ai_dashboards'::regnamespace
                  AND proname IN ('operation_label', 'model_label', 'user_label') LOOP
        EXECUTE format('DROP FUNCTION %s', old);
    END LOOP;
    FOR place, named_columns, named_types IN
        SELECT key, string_agg(format('(left($%s::text, 1024) COLLATE "C") AS %I', number, role), ', '
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
        ' CASE WHEN l.cost BETWEEN -1000000 AND 1000000 THEN %s END AS cost_usd'
        ' FROM (SELECT %s AS logged_at, %s AS cost, %s FROM %s) AS l',
        -- what has no more decimal places needs no rounding
        CASE WHEN EXISTS (SELECT FROM pg_attribute
                           WHERE attrelid = source AND quote_ident(attname) = found -> 'cost' ->> 'name'
                             AND atttypid = 'numeric'::regtype AND atttypmod > 3
                             AND (atttypmod - 4) % 65536 <= 12)
            THEN 'l.cost' ELSE 'round(l.cost, 12)' END,
        logged, found -> 'cost' ->> 'number',
        (SELECT string_agg(format('%s AS %I', CASE WHEN role = 'user' AND users = 'off' THEN '''hidden''::text'
                                                   ELSE coalesce(found -> role ->> 'same', 'NULL::text') END, role), ', ')
           FROM unnest(ARRAY['operation', 'operation_type', 'model', 'user']) AS role),
        source);

    EXECUTE format(
        'CREATE VIEW ai_dashboards.operations AS SELECT l.logged_at, l.at, (%s) COLLATE "default" AS operation,'
        ' (%s) COLLATE "default" AS model, (%s) COLLATE "default" AS "user", %s%s AS outcome,'
        -- what the exporter does not count either: NaN, negative but for a refund, beyond all reason
        ' CASE WHEN l.input_tokens BETWEEN 0 AND 1000000000 THEN l.input_tokens::bigint END AS input_tokens,'
        ' CASE WHEN l.output_tokens BETWEEN 0 AND 1000000000 THEN l.output_tokens::bigint END AS output_tokens,'
        ' CASE WHEN l.cost BETWEEN -1000000 AND 1000000 THEN round(l.cost, 12) END AS cost_usd,'
        ' CASE WHEN l.latency BETWEEN 0 AND 86400000 THEN l.latency / 1000 END AS latency_seconds,'
        ' l.error_message FROM (SELECT %s AS logged_at, %s AS at, %s FROM %s) AS l',
        operation, model, shown_user,
        CASE WHEN found ? 'group' THEN format('(%s) COLLATE "default" AS "group", ', format(
            label, 'l."group"', format(user_label, 'l."group"'), format(user_label, format(cleaned, 'l."group"'))))
            ELSE '' END,
        outcome, logged, instant,
        -- of a name as much as a label can be made of, and blanks around it
        (SELECT string_agg(format(
                    CASE WHEN role IN ('operation', 'operation_type', 'model', 'user', 'group')
                         THEN '(left(%1$s, 1024) COLLATE "C") AS %3$I'
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
                    cleaned, format('left(b.%s, 1024) COLLATE "C"', budget -> 'user' ->> 'text'))) END,
            budget -> 'daily_limit' ->> 'name', coalesce('b.' || (budget -> 'monthly_limit' ->> 'name'), 'NULL::numeric'),
            budgets);
    END IF;

    -- What a user is called, by the label; a UUID without a name is cut to eight characters. Like the views, the function
    -- reads with the rights of whoever runs this file.
    DROP FUNCTION IF EXISTS ai_dashboards.user_name(text);
    called := 'CASE WHEN $1 ~* ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN left($1, 8) ELSE $1 END';
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
                   'coalesce((SELECT CASE WHEN btrim(c.name, ''"'') IN (''other'', ''unattributed'') THEN ''"'' || c.name || ''"'''
                   ' ELSE c.name END FROM (SELECT %s AS name FROM (SELECT left(min(to_jsonb(n.name) #>> ''{}''),'
                   ' 1024) COLLATE "C" AS name FROM (SELECT %I AS key, (%s) AS name FROM %s) AS n'
                   ' WHERE %s) AS u) AS c), %s)',
                   format(cleaned, 'u.name'), names_key, names_form, people,
                   -- the bare key, so that an index serves, where it is compared exactly so
                   CASE WHEN base = 'uuid'::regtype THEN 'n.key = CASE WHEN $1 ~* ''^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'' THEN $1::uuid END'
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
                called, chosen, CASE called WHEN 'uuid' THEN '[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}' ELSE '-?[0-9]{1,18}' END) END);
    EXECUTE format(
        'CREATE FUNCTION ai_dashboards.patterns(text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE'
        ' SET search_path = pg_catalog, pg_temp AS %L', format(
            'SELECT CASE WHEN bool_and(longest <> '''' AND label NOT IN (''unknown'', ''unattributed'', ''hidden''))'
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
    ALTER ROLE ai_grafana SET timezone = 'UTC';
    ALTER ROLE ai_grafana SET TimeZone = 'UTC';
    ALTER ROLE ai_grafana SET DateStyle = 'ISO, MDY';
    ALTER ROLE ai_grafana SET IntervalStyle = 'postgres';
    ALTER ROLE ai_grafana SET extra_float_digits = '1';
    ALTER ROLE ai_grafana SET bytea_output = 'hex';
    ALTER ROLE ai_grafana SET lc_time = 'C';
    ALTER ROLE ai_grafana SET lc_numeric = 'C';
    ALTER ROLE ai_grafana SET lc_monetary = 'C';
    -- The panels' queries call only what the system has.
    ALTER ROLE ai_grafana SET search_path = pg_catalog, pg_temp;

    REVOKE ALL ON ALL TABLES IN SCHEMA ai_dashboards FROM ai_grafana;
    GRANT USAGE ON SCHEMA ai_dashboards TO ai_grafana;
    GRANT SELECT ON ai_dashboards.operations, ai_dashboards.spending TO ai_grafana;
    REVOKE ALL ON FUNCTION ai_dashboards.user_name(text) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION ai_dashboards.user_name(text) TO ai_grafana;
END
$$;
