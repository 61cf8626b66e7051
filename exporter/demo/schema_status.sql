-- The tables of the layout "status": a row is written when its call begins, and filled in when it ends. Times are UTC.

CREATE TABLE users (
    id    uuid PRIMARY KEY,
    email text NOT NULL UNIQUE
);

CREATE TABLE ai_operation_log (
    id               uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id          uuid REFERENCES users (id) ON DELETE CASCADE,
    operation_id     text NOT NULL,
    model_used       text NOT NULL,
    input_tokens     int,
    output_tokens    int,
    total_tokens     int,
    cost_usd         numeric(8, 6),
    latency_ms       int,
    status           text DEFAULT 'pending' CHECK (status IN ('pending', 'running', 'success', 'failed', 'timeout')),
    error_message    text,
    result           jsonb,
    request_metadata jsonb,
    executed_at      timestamp DEFAULT now(),
    completed_at     timestamp,
    tenant_id        uuid
);
CREATE INDEX ai_operation_log_executed_at_idx ON ai_operation_log (executed_at DESC);

CREATE TABLE cost_budgets (
    id                           uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id                      uuid NOT NULL UNIQUE REFERENCES users (id) ON DELETE CASCADE,
    daily_limit_usd              numeric(10, 2),
    monthly_limit_usd            numeric(10, 2),
    warning_threshold_percentage int DEFAULT 80,
    current_spend_today          numeric(10, 6) DEFAULT 0,
    current_spend_month          numeric(10, 6) DEFAULT 0,
    last_reset_date              date,
    budget_status                text DEFAULT 'active'
);

CREATE TABLE ai_model_routes (
    id                 uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    operation_id       text NOT NULL UNIQUE,
    operation_name     text NOT NULL,
    primary_model      text NOT NULL,
    fallback_model     text,
    enabled            boolean NOT NULL DEFAULT true,
    cost_criticality   text,
    estimated_cost_usd numeric(8, 6),
    avg_input_tokens   int,
    avg_output_tokens  int
);

CREATE TABLE approval_gates (
    id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    status text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'approved', 'rejected'))
);

ALTER TABLE users ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_operation_log ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_budgets ENABLE ROW LEVEL SECURITY;
ALTER TABLE ai_model_routes ENABLE ROW LEVEL SECURITY;
ALTER TABLE approval_gates ENABLE ROW LEVEL SECURITY;
