-- The tables of the layout "success": one row per call, written when the call has ended. Times are UTC.

CREATE TABLE ai_operation_log (
    id             uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    operation_type varchar NOT NULL,
    operation_id   varchar,
    model_used     varchar NOT NULL,
    user_id        uuid,
    input_tokens   int,
    output_tokens  int,
    cost_usd       numeric(10, 6),
    latency_ms     int,
    quality_score  numeric(3, 2),
    success        boolean NOT NULL,
    error_message  text,
    created_at     timestamp DEFAULT now()
);
CREATE INDEX ai_operation_log_created_at_idx ON ai_operation_log (created_at DESC);

CREATE TABLE cost_budgets (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id               uuid NOT NULL UNIQUE,
    daily_limit_usd       numeric(10, 2),
    warning_threshold_usd numeric(10, 2),
    current_spend_today   numeric(10, 6) DEFAULT 0,
    operations_today      int DEFAULT 0,
    last_checked          timestamp DEFAULT now()
);

CREATE TABLE ai_model_routes (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    operation_id     varchar NOT NULL UNIQUE,
    operation_name   varchar NOT NULL,
    primary_model    varchar NOT NULL,
    fallback_model   varchar,
    enabled          boolean NOT NULL DEFAULT true,
    cost_criticality varchar
);

CREATE TABLE helix_recommendations (
    id                    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    operation_id          varchar NOT NULL,
    recommendation_type   varchar NOT NULL,
    current_config        jsonb,
    proposed_config       jsonb,
    estimated_savings_usd numeric(10, 2),
    confidence            numeric(3, 2) CHECK (confidence BETWEEN 0 AND 1),
    reasoning             text,
    approval_status       varchar NOT NULL DEFAULT 'PENDING'
        CHECK (approval_status IN ('PENDING', 'APPROVED', 'REJECTED'))
);

ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_budgets ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_model_routes ENABLE ROW LEVEL SECURITY;
ALTER TABLE helix_recommendations ENABLE ROW LEVEL SECURITY;
