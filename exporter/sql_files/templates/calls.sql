    -- What the configuration says of the log: which of its rows are calls, and what is computed of their columns.
    SELECT string_agg(name, ', ' ORDER BY name) INTO lost
      FROM unnest({{read}}::text[]) AS name
     WHERE NOT EXISTS (SELECT FROM pg_attribute
                        WHERE attrelid = log AND attname = name AND attnum > 0 AND NOT attisdropped);
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION '% has no columns %', log, lost
            USING HINT = 'Correct columns.log in the configuration, and generate this file from it again.';
    END IF;
    PERFORM {{forms}};
    EXECUTE concat('CREATE VIEW ai_dashboards.calls AS SELECT ', concat_ws(', ',
        (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
          WHERE attrelid = log AND attnum > 0 AND NOT attisdropped
            AND EXISTS (SELECT FROM jsonb_each(log_names) AS roles (role, names) WHERE names ? attname)),
        {{made}}),
        ' FROM ', log, {{where}});
    source := 'ai_dashboards.calls';