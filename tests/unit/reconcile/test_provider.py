"""The cost exports of providers, by the columns that these publish."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from exporter.catalog import USD
from exporter.config import Config
from exporter.errors import UserError
from exporter.reconcile.period import By, DayRange
from exporter.reconcile.provider import as_source, charges, parse_columns, read_charges

JUNE = DayRange(
    int(datetime(2026, 6, 1, tzinfo=UTC).timestamp()),
    int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()),
    ZoneInfo("UTC"),
)

EXPORTS = {
    "OpenAI": (
        "start_time,end_time,start_time_iso,end_time_iso,amount_value,amount_currency,line_item,project_id\n"
        '1780358400,1780444800,2026-06-02T00:00:00+00:00,2026-06-03T00:00:00+00:00,1.5,usd,"m1, input",p\n'
        '1780358400,1780444800,2026-06-02T00:00:00+00:00,2026-06-03T00:00:00+00:00,0.25,usd,"m1, cached input",p\n'
        "1780444800,1780531200,2026-06-03T00:00:00+00:00,2026-06-04T00:00:00+00:00,2,usd,m2,p\n"
    ),
    "OpenAI without ISO times": (
        "start_time,end_time,amount_value,amount_currency,line_item\n"
        '1780358400,1780444800,1.75,usd,"m1, input"\n1780444800,1780531200,2,usd,m2\n'
    ),
    "Anthropic": (
        "\ufeffusage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,list_price_usd\n"
        "2026-06-02,m1,Default,k,message,≤ 200k,input_no_cache,1.50,1.50\n"
        "2026-06-02,m1,Default,k,message,≤ 200k,output,0.25,0.25\n"
        "2026-06-03,m2,Default,k,message,≤ 200k,output,2.00,2.00\n"
    ),
    "Google": (
        "Invoice number,1\nInvoice date,2026-06-30\nCurrency,USD\nTotal amount due,$3.75\n"
        "Billing account name,Service description,SKU description,Usage start date,Usage end date,"
        "Unrounded Cost ($),Cost ($)\n"
        'A,Gemini API,m1,2026-06-02,2026-06-03,"1.750000","1.75"\n'
        'A,Gemini API,m2,2026-06-03,2026-06-04,"2.000000","2.00"\n'
        ",,,,,Total,3.75\n"
    ),
    "OpenRouter": (
        "generation_id,created_at,cost_total,cost_web_search,tokens_prompt,tokens_completion,model_permaslug\n"
        "gen-1,2026-06-02 10:00:00.713,0.75,0,10,5,m1\ngen-2,2026-06-02T23:59:59Z,1,0,10,5,m1\n"
        "gen-3,2026-06-03 00:00:00,2,0,10,5,m2\n"
    ),
    "DeepSeek": (
        "user_id,utc_date,model,wallet_type,cost,currency\nu,20260602,m1,Paid,1.7500000000000000,USD\nu,2026-06-03,m2,Paid,2,USD\n"
    ),
    "DeepSeek since 2026": (
        "user_id,start_time_iso,end_time_iso,model,wallet_type,cost,currency\r\n"
        "u,2026-06-02T08:00:00+08:00,2026-06-03T08:00:00+08:00,m1,Paid,1.75,USD\r\n"
        "u,2026-06-03T08:00:00+08:00,2026-06-04T08:00:00+08:00,m2,Paid,2,USD\r\n"
    ),
}


def sums(text: str, by: By, **settings: object) -> dict[str, Decimal] | Decimal:
    found = as_source(
        list(charges(text.lstrip("\ufeff"), "f")), Config.model_validate(settings).classification(), by, JUNE
    )
    assert found.sum is not None
    if found.amounts is None:
        return Decimal(found.sum) / USD
    return {key: Decimal(units) / USD for key, units in found.amounts.items()}


@pytest.mark.parametrize("name", EXPORTS)
def test_the_export_of_each_provider(name: str, tmp_path: Path) -> None:
    path = tmp_path / "costs.csv"
    path.write_text(EXPORTS[name], "utf-8")
    found = read_charges(path, None)
    assert sum(charge.units for charge in found) == 375 * USD // 100
    assert sums(EXPORTS[name], "model") == {"m1": Decimal("1.75"), "m2": 2}
    assert sums(EXPORTS[name], "day") == {"2026-06-02": Decimal("1.75"), "2026-06-03": 2}
    assert sums(EXPORTS[name], "user") == Decimal("3.75")
    assert sums(EXPORTS[name], "model", models={"aliases": {"m1": "m2"}}) == {"m2": Decimal("3.75")}


def test_columns_of_another_export() -> None:
    text = 'When,What,Dollars\n2026-06-02,m1,"$1,000.50"\n2026-07-01,m1,7\n2026-05-31T23:59:59Z,m1,7\n'
    found = list(charges(text, "f", parse_columns("date=when,model=What,cost=dollars")))
    assert as_source(found, Config().classification(), "model", JUNE).amounts == {"m1": 100_050 * USD // 100}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no header"),
        ("a,b\n1,2\n", "name the columns with --provider-columns"),
        ("user_id,utc_date,model,wallet_type,cost,currency\nu,20260602,m,Paid,1,CNY\n", "row 2 is in CNY"),
        ("Currency,AUD\n" + EXPORTS["Google"], "amounts are in AUD"),
        ("usage_date_utc,model,cost_usd\n2026-06-02,m1,much\n", "row 2 has no date or no cost"),
        ("usage_date_utc,model,cost_usd\n2026-06-02,m1,NaN\n", "row 2 has no cost"),
        ("usage_date_utc,model,cost_usd\n02/06/2026,m1,1\n", "row 2 has no date or no cost"),
    ],
)
def test_what_is_no_export_in_dollars_is_refused(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        list(charges(text, "f"))


@pytest.mark.parametrize("columns", ["", "date=a", "date=a,model=b,cost=", "date=a,model=b,cost=c,price=d", "a,b,c"])
def test_columns_that_say_too_little_are_refused(columns: str) -> None:
    with pytest.raises(UserError, match="--provider-columns: write date="):
        parse_columns(columns)


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for name in ("absent", "binary", "."):
        with pytest.raises(UserError, match="--provider-csv"):
            read_charges(tmp_path / name, None)
